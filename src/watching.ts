/** What can be watched: an engine. */
interface Watched {
  readonly live: boolean;
  observe(callback: (failure?: Error) => void): () => void;
  checkOpen(): void;
}

/** What `read` gives when the engine's board is complete, and whenever it has changed since it was last asked. */
export async function* changes<T, E extends Watched>(
  engineOf: () => E,
  signal: AbortSignal | undefined,
  read: (engine: E) => T,
): AsyncGenerator<T> {
  const engine = engineOf();
  let fresh = engine.live;
  let failure: Error | undefined;
  let wake = (): void => undefined;
  const note = (): void => {
    fresh = true;
    wake();
  };
  const stop = engine.observe((error) => {
    failure = error;
    note();
  });
  signal?.addEventListener('abort', note, { once: true });
  try {
    while (signal?.aborted !== true) {
      engine.checkOpen();
      if (failure !== undefined) throw failure;
      if (fresh && engine.live) {
        fresh = false;
        yield read(engine);
      } else {
        fresh = false;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    }
  } finally {
    stop();
    signal?.removeEventListener('abort', note);
  }
}
