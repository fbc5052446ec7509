/**
 * Acquire and release by one process when nobody else wants the slot. The floor is two conditional publishes of the same
 * bytes to the same stream by the same client: claim and release marker. Each storage and number of servers on its own;
 * library, floor and redis-semaphore take turns, 50 at a time.
 */
import type { ConnectOptions } from '../../src';
import { pairs } from '../pairs';
import { type Row, judge } from '../result';
import type { World } from '../world';
import type { Scenario } from './scenario';

const ROUNDS = 30;
const PER_ROUND = 50;
const NAME = { name: 'alone', slots: 1 };

export const uncontended: Scenario = {
  name: 'uncontended',
  title: 'Uncontended acquire + release',
  note: 'Ratio of the medians: library / two raw conditional publishes.',
  async run(world) {
    const rows: Row[] = [];
    for (const replicas of [1, 3] as const) {
      for (const storage of ['file', 'memory'] as const) rows.push(await measure(world, storage, replicas));
    }
    rows.push(await measure(world, 'file', 1, true));
    return rows;
  },
};

async function measure(
  world: World,
  storage: 'file' | 'memory',
  replicas: 1 | 3,
  fair = false,
): Promise<Row> {
  const url = replicas === 1 ? (await world.server()).url : (await world.cluster()).urls[0]!;
  const bucket = `PAIRS_${storage}_${replicas}`;
  const options: ConnectOptions = { servers: url, bucket, storage, replicas };
  // Redis is one server; it has no place beside three.
  const redis = replicas === 1 ? await world.redisSemaphore() : undefined;
  const figures = await pairs(
    {
      library: [{ kind: 'library', options }, fair ? { name: 'alone-fair', slots: 1, fair } : NAME],
      floor: [
        { kind: 'raw', url, bucket },
        { name: 'raw', slots: 1 },
      ],
      'redis-semaphore': redis && [redis, NAME],
    },
    world.times(ROUNDS),
    PER_ROUND,
  );
  const servers = replicas === 1 ? 'one server' : 'three servers';
  return {
    what: `${servers}, ${storage}${fair ? ', fair (two more writes)' : ''}`,
    unit: 'ms',
    figures: figures,
    verdicts: [
      judge(
        'library / floor, p50',
        figures.library!.p50 / figures.floor!.p50,
        fair ? undefined : { atMost: 1.2 },
      ),
    ],
  };
}
