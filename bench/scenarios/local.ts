/** Lock and release within one process, without a server: `LocalDispatcher` and `async-mutex`, 1,000 at a time in turn. */
import { Semaphore as AsyncSemaphore } from 'async-mutex';
import { LocalDispatcher } from '../library';
import { sideBySide, timed } from '../measure';
import { judge } from '../result';
import type { Scenario } from './scenario';

const ROUNDS = 40;
const PER_SAMPLE = 1_000;
/** Longer than the turns of the others take. */
const RETAIN_MS = 10_000;

export const local: Scenario = {
  name: 'local',
  title: 'Within one process',
  note: 'Of a thousand in a row, each. async-mutex has no leases, signals or queue to look at.',
  async run(world) {
    await using dispatcher = new LocalDispatcher();
    const ours = dispatcher.semaphore('local', 1);
    const keeping = dispatcher.semaphore('kept', 1, { retain: RETAIN_MS });
    const theirs = new AsyncSemaphore(1);
    const each = (one: () => Promise<unknown>) => async (): Promise<number> => {
      const ms = await timed(async () => {
        for (let i = 0; i < PER_SAMPLE; i++) await one();
      });
      return (ms * 1000) / PER_SAMPLE;
    };
    const figures = await sideBySide(
      {
        library: each(async () => (await ours.acquire()).release()),
        'library, retain': each(async () => (await keeping.acquire()).release()),
        'async-mutex': each(async () => {
          const [, release] = await theirs.acquire();
          release();
        }),
      },
      world.times(ROUNDS),
      1,
    );
    const { library, 'async-mutex': mutex, 'library, retain': kept } = figures;
    return [
      {
        what: 'lock + release',
        unit: 'us',
        figures,
        verdicts: [
          judge('library / async-mutex, p50', library.p50 / mutex.p50, { atMost: 5 }),
          judge('library, retain / async-mutex, p50', kept.p50 / mutex.p50),
        ],
      },
    ];
  },
};
