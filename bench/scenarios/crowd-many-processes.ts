/**
 * The same crowd in four processes of 125 waiters each, that start at the same instant: unfair (each process in its own
 * order) and fair (one queue for all). Judged as the crowd of one process is.
 */
import { SLOTS, WAITERS, crowdRows } from '../crowd-rows';
import type { Scenario } from './scenario';

const BUCKET = 'CROWD4';
const PROCESSES = 4;

export const crowdManyProcesses: Scenario = {
  name: 'crowd4',
  title: `Crowd, ${PROCESSES} processes x ${WAITERS / PROCESSES} waiters, ${SLOTS} slots, 1 ms of work`,
  note: 'Judged against rounds x (work as measured + raw hand-over between processes, p50).',
  async run(world) {
    const contender = await world.library({ bucket: BUCKET });
    const redis = await world.redisSemaphore();
    const workers = await world.workers(PROCESSES);
    const repeats = world.times(8);
    try {
      return await crowdRows(world, BUCKET, workers, {
        library: {
          contender,
          spec: { name: 'crowd', slots: SLOTS },
          repeats,
          throughput: { atLeast: 0.8 },
        },
        'library, fair': {
          contender,
          spec: { name: 'fair', slots: SLOTS, fair: true },
          repeats,
          throughput: { atLeast: 0.8 },
          wait: { atMost: 1.5 },
        },
        ...(redis && {
          'redis-semaphore': {
            contender: redis,
            spec: { name: 'crowd4', slots: SLOTS },
            repeats: world.times(2),
          },
        }),
      });
    } finally {
      for (const worker of workers) await worker.stop();
    }
  },
};
