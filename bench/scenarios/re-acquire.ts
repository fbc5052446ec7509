/**
 * Acquire and release of the same semaphore by the same process again and again, where the slot is kept for a while after
 * a release (`retain`), so that nobody needs to ask the server. 1,000 at a time.
 */
import type { SemaphoreOptions } from '../../src';
import { NatsDispatcher } from '../library';
import { sideBySide, timed } from '../measure';
import { judge } from '../result';
import type { Scenario } from './scenario';

const ROUNDS = 40;
const PER_SAMPLE = 1_000;
const KEPT: SemaphoreOptions & { retain: number } = { retain: 1_000 };

export const reAcquire: Scenario = {
  name: 'reacquire',
  title: 'Re-acquire of a kept slot',
  note: 'Of a thousand in a row, each.',
  // Until there is such an option.
  onRequest: true,
  async run(world) {
    const { url } = await world.server();
    await using dispatcher = await NatsDispatcher.connect({ servers: url, bucket: 'RETAIN' });
    const semaphore = dispatcher.semaphore('kept', 1, KEPT);
    const figures = await sideBySide(
      {
        library: async () => {
          const ms = await timed(async () => {
            for (let i = 0; i < PER_SAMPLE; i++) await (await semaphore.acquire()).release();
          });
          return (ms * 1000) / PER_SAMPLE;
        },
      },
      world.times(ROUNDS),
      1,
    );
    return [
      {
        what: 'acquire + release',
        unit: 'us',
        figures,
        verdicts: [judge('us, p50', figures.library.p50, { atMost: 20 })],
      },
    ];
  },
};
