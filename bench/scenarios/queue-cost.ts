/**
 * CPU time of client and server for one acquisition while a queue of 10, 100 and 1,000 waiters stands: two processes,
 * half of the waiters each, 5 slots, 1 ms of work, who is served asks again at once. Measured in a window in which the
 * queue is steady; the sizes take turns. Flat means: the largest figure is within 25 % of the smallest.
 */
import { cpuMs } from '../cpu';
import { type Figures, figures, pause } from '../measure';
import { type Row, judge } from '../result';
import type { WorkerProcess } from '../worker-process';
import type { World } from '../world';
import type { Contender } from '../contender';
import type { Scenario } from './scenario';

const BUCKET = 'QUEUE';
const SLOTS = 5;
const SIZES = [10, 100, 1000];
const ROUNDS = 4;
const SETTLE_MS = 500;
const WINDOW_MS = 1500;

interface Cost {
  readonly client: number;
  readonly server: number;
}

export const queueCost: Scenario = {
  name: 'queue',
  title: 'Cost of a queue',
  note: 'CPU per acquisition, both client processes together. Flat: largest / smallest of the three medians.',
  async run(world) {
    const contender = await world.library({ bucket: BUCKET });
    const workers = await world.workers(2);
    try {
      return [
        ...(await measure(world, contender, workers, false)),
        ...(await measure(world, contender, workers, true)),
      ];
    } finally {
      for (const worker of workers) await worker.stop();
    }
  },
};

async function measure(
  world: World,
  contender: Contender,
  workers: readonly WorkerProcess[],
  fair: boolean,
): Promise<Row[]> {
  const costs = new Map<number, Cost[]>(SIZES.map((size) => [size, []]));
  for (let round = -1; round < world.times(ROUNDS); round++) {
    for (const size of SIZES) {
      const cost = await once(world, contender, workers, size, fair);
      if (round >= 0) costs.get(size)?.push(cost);
    }
  }
  return (['client', 'server'] as const).map((side) => {
    const bySize: Record<string, Figures> = Object.fromEntries(
      [...costs].map(([size, all]) => [`${size} waiters`, figures(all.map((cost) => cost[side]))]),
    );
    const medians = Object.values(bySize).map(({ p50 }) => p50);
    return {
      what: `${side}${fair ? ', fair' : ''}`,
      unit: 'us of CPU',
      figures: bySize,
      verdicts: [judge('largest / smallest', Math.max(...medians) / Math.min(...medians), { atMost: 1.25 })],
    };
  });
}

async function once(
  world: World,
  contender: Contender,
  workers: readonly WorkerProcess[],
  size: number,
  fair: boolean,
): Promise<Cost> {
  const { pid } = await world.server();
  const spec = { name: fair ? 'fair' : 'queue', slots: SLOTS, fair };
  // Those who are served are not in the queue.
  const loops = (size + SLOTS) / workers.length;
  await Promise.all(
    workers.map((worker, index) =>
      worker.call('churnStart', contender, spec, index === 0 ? Math.ceil(loops) : Math.floor(loops), 1),
    ),
  );
  await pause(SETTLE_MS);
  const [before, serverBefore] = [await mark(workers), cpuMs(pid)];
  await pause(WINDOW_MS);
  const [after, serverAfter] = [await mark(workers), cpuMs(pid)];
  await Promise.all(workers.map((worker) => worker.call('churnStop')));
  const granted = after.granted - before.granted;
  return {
    client: ((after.cpuMs - before.cpuMs) * 1000) / granted,
    server: ((serverAfter - serverBefore) * 1000) / granted,
  };
}

async function mark(workers: readonly WorkerProcess[]): Promise<{ granted: number; cpuMs: number }> {
  const marks = await Promise.all(workers.map((worker) => worker.call('churnMark')));
  return {
    granted: marks.reduce((sum, { granted }) => sum + granted, 0),
    cpuMs: marks.reduce((sum, one) => sum + one.cpuMs, 0),
  };
}
