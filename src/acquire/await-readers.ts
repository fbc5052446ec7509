import type { Aborting } from '../runtime/cancellation';
import type { Engine } from '../engine/engine';
import type { Lease } from '../lease/lease';
import { onAbort } from '../runtime/on-abort';

/**
 * The last step to a permit to write under a read-write lock. The lease holds the writer's place; since that was taken nobody
 * can have begun to read, and those who began before are waited for here.
 *
 * It does not matter whether the board was complete until now: everything is read once more, and that read shows all who
 * began before. From then on they can only become fewer, each with a marker to be heard of; one that is missed costs time.
 *
 * @returns undefined, with the lease given back, if it was lost meanwhile or `abandon` aborted
 * @throws what keeps the board from being read
 */
export async function withoutReaders(
  engine: Engine,
  lease: Lease,
  abandon: Aborting | undefined,
): Promise<Lease | undefined> {
  const { background } = engine.context;
  let stop = (): void => undefined;
  const { signal } = lease;
  try {
    return await new Promise<Lease | undefined>((resolve, reject) => {
      const look = (failure?: Error): void => {
        if (abandon?.aborted === true || !lease.isHeld) resolve(undefined);
        else if (failure !== undefined) reject(failure);
        else if (engine.live && engine.board.readers.size === 0) resolve(lease);
      };
      const given = (): void => look();
      const unlisten = [onAbort(abandon, given), onAbort(signal, given)];
      // Begins to read if nobody has been listening; else what is under way may have begun too early.
      const listening = engine.feed.running;
      const unobserve = engine.observe(look);
      if (listening) engine.feed.refresh();
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
    // Of one that was lost nothing is left to give back.
    if (abandon?.aborted === true) background.add(lease.release());
  }
}
