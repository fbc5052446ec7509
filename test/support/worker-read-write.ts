import { setTimeout as sleep } from 'node:timers/promises';
import type { NatsDispatcher, Permit } from '../../src';
import { monotonicMs } from './monotonic';
import { randomFrom, within } from './random';
import type { ReadWriteStep } from './read-write-log';

/** Random readers and writers of one read-write lock. */
export interface ReadWriteChurn {
  readonly seed: number;
  readonly name: string;
  readonly ttl: number;
  readonly fair: boolean;
  /** Share of those who write; of them every fourth downgrades. */
  readonly writes: number;
  /** Least and most ms for which it is held in each mode. */
  readonly work: { readonly read: readonly [number, number]; readonly write: readonly [number, number] };
}

/** One after another until `ended` says so. Returns how many there were. */
export async function readWriteChurn(
  dispatcher: NatsDispatcher,
  { seed, name, ttl, fair, writes, work }: ReadWriteChurn,
  say: (line: object) => void,
  ended: () => boolean,
): Promise<number> {
  const random = randomFrom(seed);
  const lock = dispatcher.readWriteLock(name, { ttl, fair });
  let done = 0;
  while (!ended()) {
    const mode = random() < writes ? 'write' : 'read';
    const permit = await lock[mode].acquire();
    const log = (
      type: ReadWriteStep['type'],
      as: ReadWriteStep['mode'],
      { id, fencingToken }: Permit,
    ): void =>
      say({
        type,
        mode: as,
        name,
        permit: id,
        token: String(fencingToken),
        at: monotonicMs(),
      } satisfies ReadWriteStep);
    log('in', mode, permit);
    await sleep(within(random, ...work[mode]));
    if ('downgrade' in permit && random() < 0.25) {
      log('out', mode, permit);
      await (permit as unknown as { downgrade(): Promise<Permit> }).downgrade();
      log('in', 'read', permit);
      await sleep(within(random, ...work.read));
      log('out', 'read', permit);
    } else {
      log('out', mode, permit);
    }
    await permit.release();
    done++;
  }
  return done;
}
