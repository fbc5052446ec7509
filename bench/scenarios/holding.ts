/**
 * 1,000 permits (10 semaphores of 100) held by one process for a minute with a ttl of 30 s, all acquired at once: the CPU
 * time of that process, and how the renewals are spread, seen from outside by their announcements. Were they spread at
 * random, the busiest of all tenths of a second would have some two to three times the average.
 */
import { connect } from '@nats-io/transport-node';
import { cpuMs } from '../cpu';
import { figures, monotonicMs, pause, single } from '../measure';
import { type Row, judge } from '../result';
import type { WorkerProcess } from '../worker-process';
import type { Scenario } from './scenario';

const BUCKET = 'HOLDING';
const SEMAPHORES = 10;
const PERMITS = 100;
const HOLD_MS = 60_000;
const QUICK_HOLD_MS = 20_000;
const WINDOW_MS = 100;
/** After the burst of claims, before the first renewal. */
const SETTLE_MS = 2_000;

export const holding: Scenario = {
  name: 'holding',
  title: 'Holding 1,000 permits',
  note: 'Renewals seen from outside, counted in windows of 100 ms.',
  async run(world) {
    const { url, pid } = await world.server();
    const contender = await world.library({ bucket: BUCKET, ttl: 30_000 });
    const [worker] = (await world.workers(1)) as [WorkerProcess];
    const observer = await connect({ servers: url });
    try {
      await worker.call('connect', contender);
      await Promise.all(
        Array.from({ length: SEMAPHORES * PERMITS }, (_, i) =>
          worker.call('acquire', contender, { name: `held-${i % SEMAPHORES}`, slots: PERMITS }),
        ),
      );
      await pause(SETTLE_MS);
      const length = world.quick ? QUICK_HOLD_MS : HOLD_MS;
      const windows = new Array<number>(Math.ceil(length / WINDOW_MS)).fill(0);
      const start = monotonicMs();
      observer.subscribe(`$SEMAPHORE.${BUCKET}.>`, {
        callback: () => {
          const window = Math.floor((monotonicMs() - start) / WINDOW_MS);
          if (window < windows.length) windows[window]! += 1;
        },
      });
      const [before, serverBefore] = [await worker.call('cpuMs'), cpuMs(pid)];
      await pause(length);
      const [after, serverAfter] = [await worker.call('cpuMs'), cpuMs(pid)];
      const renewals = windows.reduce((sum, count) => sum + count, 0);
      const client = ((after - before) / length) * 100;
      const busiest = Math.max(...windows) / (renewals / windows.length);
      for (let i = 0; i < SEMAPHORES; i++) await worker.call('release', `held-${i}`);
      const rows: Row[] = [
        {
          what: `CPU while held for ${length / 1000} s`,
          unit: '% of a core',
          figures: { client: single(client), server: single(((serverAfter - serverBefore) / length) * 100) },
          verdicts: [judge('client, % of one core', client, { atMost: 3 })],
        },
        {
          what: 'renewals',
          unit: 'per 100 ms',
          figures: { renewals: figures(windows), busiest: single(Math.max(...windows)) },
          verdicts: [
            judge('busiest 100 ms / average', busiest, { atMost: 3 }),
            judge('renewals a second', (renewals / length) * 1000),
          ],
        },
      ];
      return rows;
    } finally {
      await observer.close();
      await worker.stop();
    }
  },
};
