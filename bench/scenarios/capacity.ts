/**
 * How many acquires and releases a second one bucket carries: two processes, each with 100 loops on semaphores of their own, so
 * that nobody waits for anybody. The floor is the raw client doing the same two publishes.
 */
import type { Contender } from '../contender';
import { single } from '../measure';
import { type Row, judge } from '../result';
import type { WorkerProcess } from '../worker-process';
import type { World } from '../world';
import type { Scenario } from './scenario';

const LOOPS = 100;
const PROCESSES = 2;
const WINDOW_MS = 4_000;

export const capacity: Scenario = {
  name: 'capacity',
  title: 'What one bucket carries',
  note: `Acquires with their releases per second, by ${PROCESSES} processes on the same machine as the servers.`,
  async run(world) {
    const workers = await world.workers(PROCESSES);
    try {
      const rows: Row[] = [];
      for (const replicas of [1, 3] as const) rows.push(await measure(world, workers, 'file', replicas));
      return rows;
    } finally {
      for (const worker of workers) await worker.stop();
    }
  },
};

async function measure(
  world: World,
  workers: readonly WorkerProcess[],
  storage: 'file',
  replicas: 1 | 3,
): Promise<Row> {
  const servers = replicas === 1 ? (await world.server()).url : (await world.cluster()).urls[0]!;
  const bucket = `CAPACITY_${storage}_${replicas}`;
  const library: Contender = { kind: 'library', options: { servers, bucket, storage, replicas } };
  // The library makes the bucket: it goes first.
  const ours = await rate(workers, library, world.times(WINDOW_MS));
  const floor = await rate(workers, { kind: 'raw', url: servers, bucket }, world.times(WINDOW_MS));
  return {
    what: `${replicas === 1 ? 'one server' : 'three servers'}, ${storage}`,
    unit: 'per second',
    figures: { library: single(ours), floor: single(floor) },
    verdicts: [judge('library / floor', ours / floor)],
  };
}

async function rate(workers: readonly WorkerProcess[], contender: Contender, ms: number): Promise<number> {
  const done = await Promise.all(
    workers.map((worker, i) => worker.call('hurry', contender, `hurry-${contender.kind}-${i}`, LOOPS, ms)),
  );
  return (done.reduce((a, b) => a + b, 0) / ms) * 1_000;
}
