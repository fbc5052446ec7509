/**
 * A slot that is kept for a while after a release (`retain`). Acquire and release of the same semaphore by the same process
 * again and again, 1,000 at a time, where nobody needs to ask the server; and the hand-over from a process that keeps
 * the slot to one that asks for it, on the clock that both share.
 */
import { type Client, type Contender, open } from '../contender';
import { monotonicMs, pause, sideBySide, timed } from '../measure';
import { judge } from '../result';
import type { WorkerProcess } from '../worker-process';
import type { Scenario } from './scenario';

const ROUNDS = 40;
const PER_SAMPLE = 1_000;
const PER_ROUND = 5;
const RETAIN_MS = 10_000;
/** Time enough for the process to listen, so that it can keep what it releases. */
const LISTEN_MS = 20;
const KEPT = { name: 'kept', slots: 1 };
const WANTED = { name: 'wanted', slots: 1 };

export const reAcquire: Scenario = {
  name: 'reacquire',
  title: 'Kept slots',
  note: 'Acquire and release: of a thousand in a row, each. Hand-over: one process keeps the slot, from the call of acquire in another to its end.',
  async run(world) {
    const { url } = await world.server();
    const contender: Contender = {
      kind: 'library',
      options: { servers: url, bucket: 'RETAIN', retain: RETAIN_MS },
    };
    const client = await open(contender);
    const [worker] = (await world.workers(1)) as [WorkerProcess];
    try {
      const again = await sideBySide({ library: () => inARow(client) }, world.times(ROUNDS), 1);
      await worker.call('connect', contender);
      const over = await sideBySide(
        { library: () => handOver(client, worker, contender) },
        world.times(ROUNDS),
        PER_ROUND,
      );
      return [
        {
          what: 'acquire + release',
          unit: 'us',
          figures: again,
          verdicts: [judge('us, p50', again.library.p50, { atMost: 20 })],
        },
        { what: 'acquire called -> resolved, kept elsewhere', unit: 'ms', figures: over, verdicts: [] },
      ];
    } finally {
      await client.close();
      await worker.stop();
    }
  },
};

/** Of one acquire and release, in us. */
async function inARow(client: Client): Promise<number> {
  const lock = client.lock(KEPT);
  const ms = await timed(async () => {
    for (let i = 0; i < PER_SAMPLE; i++) await (await lock.acquire())();
  });
  return (ms * 1000) / PER_SAMPLE;
}

async function handOver(client: Client, worker: WorkerProcess, contender: Contender): Promise<number> {
  const release = await client.lock(WANTED).acquire();
  await pause(LISTEN_MS);
  await release();
  const start = monotonicMs();
  const at = await worker.call('acquire', contender, WANTED);
  await worker.call('release', WANTED.name);
  return at - start;
}
