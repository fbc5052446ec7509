import type { Aborting } from '../runtime/cancellation';
import type { Primitive } from '../state/primitive-state';
import type { Lease } from '../lease/lease';
import { onAbort } from '../runtime/on-abort';

/** A primitive whose slot table can be kept up to date for a caller. */
export interface Observable extends Primitive {
  /** Whether the slot table shows everything. */
  readonly live: boolean;
  /** Keeps the slot table up to date, and calls back whenever it changes or that fails. Returns a function that stops that. */
  observe(callback: (failure?: Error) => void): () => void;
}

/**
 * The last step to a permit to write under a read-write lock. The lease holds the writer's place. No reader can have begun since that was
 * taken, and this function waits for the readers that began before.
 *
 * It does not matter whether the table was complete until now: everything is read once more, and that read shows all readers that began
 * before. From then on they can only become fewer, each with a marker that is announced; a marker that is missed costs time.
 *
 * @returns undefined, with the lease given back, if it was lost meanwhile or `abandon` aborted
 * @throws the error that keeps the table from being read
 */
export async function awaitReaders(
  primitive: Observable,
  lease: Lease,
  abandon: Aborting | undefined,
): Promise<Lease | undefined> {
  const { background } = primitive.context;
  let stop = (): void => undefined;
  const { signal } = lease;
  try {
    return await new Promise<Lease | undefined>((resolve, reject) => {
      const look = (failure?: Error): void => {
        if (abandon?.aborted === true || !lease.isHeld) resolve(undefined);
        else if (failure !== undefined) reject(failure);
        else if (primitive.live && primitive.table.readers.size === 0) resolve(lease);
      };
      const given = (): void => look();
      const unlisten = [onAbort(abandon, given), onAbort(signal, given)];
      // Begins to read if there was no watcher; otherwise a read that is under way may have begun too early.
      const listening = primitive.watcher.running;
      const unobserve = primitive.observe(look);
      if (listening) primitive.watcher.refresh();
      stop = () => {
        unobserve();
        for (const end of unlisten) end();
      };
      look();
    });
  } catch (error) {
    background.add(lease.release());
    throw error;
  } finally {
    stop();
    // A lease that was lost has nothing left to give back.
    if (abandon?.aborted === true) background.add(lease.release());
  }
}
