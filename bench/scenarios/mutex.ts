/** A mutex that nobody else wants, locked and unlocked: the library, redis-semaphore's Mutex and redlock take turns. */
import { pairs } from '../pairs';
import { judge } from '../result';
import type { Scenario } from './scenario';

const ROUNDS = 30;
const PER_ROUND = 50;
const BUCKET = 'MUTEX';

export const mutex: Scenario = {
  name: 'mutex',
  title: 'Mutex, uncontended',
  note: 'Redis keeps everything in memory and forgets it with the server; the library writes to a file. redlock has one server here.',
  async run(world) {
    const redis = await world.redisSemaphore();
    const redlock = await world.redlock();
    const figures = await pairs(
      {
        library: [await world.library({ bucket: BUCKET }), { name: 'm', slots: 1, mutex: true }],
        floor: [await world.raw(BUCKET), { name: 'raw', slots: 1 }],
        'redis-semaphore': redis && [redis, { name: 'm', slots: 1, mutex: true }],
        redlock: redlock && [redlock, { name: 'redlock-m', slots: 1, mutex: true }],
      },
      world.times(ROUNDS),
      PER_ROUND,
    );
    const { library } = figures;
    return [
      {
        what: 'lock + unlock',
        unit: 'ms',
        figures: figures,
        verdicts: (['floor', 'redis-semaphore', 'redlock'] as const).flatMap((other) => {
          const theirs = figures[other];
          return theirs === undefined ? [] : [judge(`library / ${other}, p50`, library!.p50 / theirs.p50)];
        }),
      },
    ];
  },
};
