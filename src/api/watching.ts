import { onAbort } from '../runtime/on-abort';

/** What a watch follows: the engine of a primitive. */
interface Watched {
  readonly live: boolean;
  observe(callback: (failure?: Error) => void): () => void;
  checkOpen(): void;
}

/** The result of `read` when the engine's table is complete, and whenever the table has changed since the last result. */
export async function* changes<T, W extends Watched>(
  watchedNow: () => W,
  signal: AbortSignal | undefined,
  read: (watched: W) => T,
): AsyncGenerator<T> {
  const watched = watchedNow();
  let fresh = watched.live;
  let failure: Error | undefined;
  let wake = (): void => undefined;
  const note = (): void => {
    fresh = true;
    wake();
  };
  const stop = watched.observe((error) => {
    // A change that is reported after the end does not undo it.
    failure ??= error;
    note();
  });
  const unlisten = onAbort(signal, note);
  try {
    while (signal?.aborted !== true) {
      watched.checkOpen();
      if (failure !== undefined) throw failure;
      if (fresh && watched.live) {
        fresh = false;
        yield read(watched);
      } else {
        fresh = false;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    }
  } finally {
    stop();
    unlisten();
  }
}
