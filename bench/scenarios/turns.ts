/**
 * Four processes that take turns on one slot: each acquires, works for a millisecond, releases and asks again, so that three of
 * them always wait. How often a second the slot changes hands. The contenders take turns, too.
 */
import { mark } from '../churn';
import type { Contender, Spec } from '../contender';
import { figures, monotonicMs, pause } from '../measure';
import { type Verdict, judge } from '../result';
import type { WorkerProcess } from '../worker-process';
import type { Scenario } from './scenario';

const BUCKET = 'TURNS';
const PROCESSES = 4;
const ROUNDS = 5;
const SETTLE_MS = 500;
const WINDOW_MS = 1_500;

export const turns: Scenario = {
  name: 'turns',
  title: `${PROCESSES} processes take turns on one slot, 1 ms of work`,
  note: 'Unfair, one process may have it several times in a row, which costs fewer messages; fair, it goes round.',
  async run(world) {
    const contender = await world.library({ bucket: BUCKET });
    const redis = await world.redisSemaphore();
    const workers = await world.workers(PROCESSES);
    const entrants: Record<string, [Contender, Spec]> = {
      library: [contender, { name: 'turns', slots: 1 }],
      'library, fair': [contender, { name: 'fair-turns', slots: 1, fair: true }],
      ...(redis && { 'redis-semaphore': [redis, { name: 'turns', slots: 1 }] }),
    };
    const rates = new Map<string, number[]>(Object.keys(entrants).map((name) => [name, []]));
    try {
      for (let round = -1; round < world.times(ROUNDS); round++) {
        for (const [name, [who, spec]] of Object.entries(entrants)) {
          const rate = await changesPerSecond(workers, who, spec);
          if (round >= 0) rates.get(name)?.push(rate);
        }
      }
    } finally {
      for (const worker of workers) await worker.stop();
    }
    const all = Object.fromEntries([...rates].map(([name, found]) => [name, figures(found)]));
    const verdicts: Verdict[] = [];
    const theirs = all['redis-semaphore'];
    for (const name of ['library', 'library, fair'])
      if (theirs !== undefined)
        verdicts.push(judge(`${name} / redis-semaphore, median`, all[name]!.p50 / theirs.p50));
    return [{ what: 'the slot changes hands', unit: 'a second', figures: all, verdicts }];
  },
};

async function changesPerSecond(
  workers: readonly WorkerProcess[],
  contender: Contender,
  spec: Spec,
): Promise<number> {
  await Promise.all(workers.map((worker) => worker.call('connect', contender)));
  await Promise.all(workers.map((worker) => worker.call('churnStart', contender, spec, 1, 1)));
  await pause(SETTLE_MS);
  const [before, start] = [await mark(workers), monotonicMs()];
  await pause(WINDOW_MS);
  const [after, end] = [await mark(workers), monotonicMs()];
  await Promise.all(workers.map((worker) => worker.call('churnStop')));
  return ((after.granted - before.granted) / (end - start)) * 1_000;
}
