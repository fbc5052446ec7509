/**
 * Two processes and one slot: one holds, the other waits. Measured from the call of release in the one to the moment at
 * which acquire resolves in the other, on the clock that both share. The floor is the same by plain publishes. All pause
 * the same random time before the release, so that redis-semaphore's polling (each 10 ms) is met at any phase.
 */
import { type Contender, open } from '../contender';
import { monotonicMs, pause, sideBySide } from '../measure';
import { QUIET_MS, rawHandOver } from '../raw-hand-over';
import { type Verdict, judge } from '../result';
import type { WorkerProcess } from '../worker-process';
import type { Scenario } from './scenario';

const ROUNDS = 40;
const PER_ROUND = 10;
const POLL_MS = 10;
const BUCKET = 'HANDOVER';

export const handOver: Scenario = {
  name: 'handover',
  title: 'Hand-over between processes',
  note: 'Floor: release marker -> announcement heard -> conditional publish acknowledged. redis-semaphore at its defaults.',
  async run(world) {
    const library = await world.library({ bucket: BUCKET });
    const redis = await world.redisSemaphore();
    const [worker] = (await world.workers(1)) as [WorkerProcess];
    const mine = await between(library, 'shared', false, worker);
    const fair = await between(library, 'shared-fair', true, worker);
    const theirs = redis && (await between(redis, 'shared', false, worker));
    const raw = await rawHandOver(world, BUCKET, worker);
    try {
      const figures = await sideBySide<string>(
        {
          library: mine.measure,
          'library, fair': fair.measure,
          floor: () => raw.measure(quiet),
          ...(theirs && { 'redis-semaphore': theirs.measure }),
        },
        world.times(ROUNDS),
        PER_ROUND,
      );
      const ours = figures['library']!.p50;
      const verdicts: Verdict[] = [
        judge('library / floor, p50', ours / figures['floor']!.p50, { atMost: 1.3 }),
        judge('fair / floor, p50', figures['library, fair']!.p50 / figures['floor']!.p50),
      ];
      const other = figures['redis-semaphore'];
      if (other !== undefined) {
        verdicts.push(judge('redis-semaphore / library, p50', other.p50 / ours, { atLeast: 5 }));
        verdicts.push(judge('redis-semaphore / fair, p50', other.p50 / figures['library, fair']!.p50));
      }
      return [{ what: 'release called -> acquire resolved', unit: 'ms', figures, verdicts }];
    } finally {
      for (const side of [mine, fair, theirs, raw]) await side?.close();
      await worker.stop();
    }
  },
};

function quiet(): Promise<void> {
  return pause(QUIET_MS + Math.random() * POLL_MS);
}

async function between(
  contender: Contender,
  name: string,
  fair: boolean,
  worker: WorkerProcess,
): Promise<{ readonly measure: () => Promise<number>; readonly close: () => Promise<void> }> {
  const spec = { name, slots: 1, fair };
  const client = await open(contender);
  await worker.call('connect', contender);
  const lock = client.lock(spec);
  return {
    async measure() {
      const release = await lock.acquire();
      const acquired = worker.call('acquire', contender, spec);
      await quiet();
      const start = monotonicMs();
      const released = release();
      const at = await acquired;
      await released;
      await worker.call('release', name);
      return at - start;
    },
    close: () => client.close(),
  };
}
