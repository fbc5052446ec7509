/**
 * Four processes that take turns on one slot: each acquires, works for a millisecond, releases and asks again, so that three of
 * them always wait. How many grants there are in a second, and how many of them go to the process that gets most. The contenders
 * take turns, too.
 */
import type { Contender, Spec } from '../contender';
import { figures, monotonicMs, pause } from '../measure';
import { type Row, judge } from '../result';
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
  note: 'Whoever has just released may take it again while the others sleep or have yet to hear of it, which costs less than turns.',
  async run(world) {
    const contender = await world.library({ bucket: BUCKET });
    const redis = await world.redisSemaphore();
    const workers = await world.workers(PROCESSES);
    const entrants: Record<string, [Contender, Spec]> = {
      library: [contender, { name: 'turns', slots: 1 }],
      'library, fair': [contender, { name: 'fair-turns', slots: 1, fair: true }],
      ...(redis && { 'redis-semaphore': [redis, { name: 'turns', slots: 1 }] }),
    };
    const found = Object.fromEntries(Object.keys(entrants).map((name) => [name, [] as Round[]]));
    try {
      for (let round = -1; round < world.times(ROUNDS); round++) {
        for (const [name, [who, spec]] of Object.entries(entrants)) {
          const one = await play(workers, who, spec);
          if (round >= 0) found[name]?.push(one);
        }
      }
    } finally {
      for (const worker of workers) await worker.stop();
    }
    const row = (what: string, unit: Row['unit'], of: (round: Round) => number): Row => {
      const all = Object.fromEntries(
        Object.entries(found).map(([name, rounds]) => [name, figures(rounds.map(of))]),
      );
      const theirs = all['redis-semaphore'];
      const verdicts = ['library', 'library, fair'].flatMap((name) =>
        theirs === undefined ? [] : [judge(`${name} / redis-semaphore, p50`, all[name]!.p50 / theirs.p50)],
      );
      return { what, unit, figures: all, verdicts };
    };
    return [
      row('grants', 'a second', ({ rate }) => rate),
      row('grants of the process that had most / average', 'times', ({ most }) => most),
    ];
  },
};

interface Round {
  readonly rate: number;
  /** Of the process that was granted it most often: how many times the average. */
  readonly most: number;
}

async function play(workers: readonly WorkerProcess[], contender: Contender, spec: Spec): Promise<Round> {
  await Promise.all(workers.map((worker) => worker.call('connect', contender)));
  await Promise.all(workers.map((worker) => worker.call('churnStart', contender, spec, 1, 1)));
  const granted = (): Promise<number[]> =>
    Promise.all(workers.map(async (worker) => (await worker.call('churnMark')).granted));
  await pause(SETTLE_MS);
  const [before, start] = [await granted(), monotonicMs()];
  await pause(WINDOW_MS);
  const [after, end] = [await granted(), monotonicMs()];
  await Promise.all(workers.map((worker) => worker.call('churnStop')));
  const each = after.map((count, i) => count - before[i]!);
  const all = each.reduce((sum, count) => sum + count, 0);
  return { rate: (all / (end - start)) * 1_000, most: (Math.max(...each) * workers.length) / all };
}
