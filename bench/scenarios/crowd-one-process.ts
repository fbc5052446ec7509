/**
 * 500 waiters of one process on 5 slots, all at once, each with 1 ms of work (a timer; how long it really lasts is
 * measured). Judged against the ideal with the raw hand-over of the same run: see `crowd.ts`. "raw, 5 chains" are 5 loops
 * of plain publishes in the same process, each with its own slot and nobody to choose between: the same number of
 * hand-overs, five at a time.
 */
import { merge } from '../crowd';
import { SLOTS, WAITERS, WORK_MS, crowdRows } from '../crowd-rows';
import type { WorkerProcess } from '../worker-process';
import type { Scenario } from './scenario';

const BUCKET = 'CROWD1';
/** Far longer than the millisecond for which a slot is kept here. */
const RETAIN_MS = 1_000;

export const crowdOneProcess: Scenario = {
  name: 'crowd',
  title: `Crowd, one process: ${WAITERS} waiters, ${SLOTS} slots, 1 ms of work`,
  note: 'Judged against rounds x (work as measured + raw hand-over between processes, p50). redis-semaphore at its defaults, but for its acquireTimeout.',
  async run(world) {
    const contender = await world.library({ bucket: BUCKET });
    const redis = await world.redisSemaphore();
    const { url } = await world.server();
    const workers = await world.workers(1);
    const [worker] = workers as [WorkerProcess];
    const repeats = world.times(8);
    try {
      return await crowdRows(
        world,
        BUCKET,
        workers,
        {
          library: {
            contender,
            spec: { name: 'crowd', slots: SLOTS },
            repeats,
            throughput: { atLeast: 0.9 },
            wait: { atMost: 1.3 },
          },
          'library, fair': { contender, spec: { name: 'fair', slots: SLOTS, fair: true }, repeats },
          'library, retain': {
            contender,
            spec: { name: 'kept', slots: SLOTS, retain: RETAIN_MS },
            repeats,
            freeThroughput: { atLeast: 0.9 },
            freeWait: { atMost: 1.3 },
          },
          ...(redis && {
            'redis-semaphore': {
              contender: redis,
              spec: { name: 'crowd', slots: SLOTS },
              repeats: world.times(2),
            },
          }),
        },
        {
          'raw, 5 chains': async () =>
            merge([await worker.call('rawCrowd', url, BUCKET, SLOTS, WAITERS / SLOTS, WORK_MS)]),
        },
      );
    } finally {
      for (const one of workers) await one.stop();
    }
  },
};
