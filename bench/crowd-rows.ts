import type { Contender, Spec } from './contender';
import { type Crowd, crowd, ideal } from './crowd';
import { curve, figures, pause } from './measure';
import { QUIET_MS, rawHandOver } from './raw-hand-over';
import { type Reach, type Row, type Verdict, judge } from './result';
import type { WorkerProcess } from './worker-process';
import type { World } from './world';

export const WAITERS = 500;
export const SLOTS = 5;
export const WORK_MS = 1;
const WARM_UPS = 3;
const RAW_LAPS = 150;

/** One contender's crowd, repeated. */
export interface Entrant {
  readonly contender: Contender;
  readonly spec: Spec;
  readonly repeats: number;
  /** Against the ideal with the raw hand-over. */
  readonly throughput?: Reach;
  readonly wait?: Reach;
  /** Against the ideal in which messages cost nothing. */
  readonly freeThroughput?: Reach;
  readonly freeWait?: Reach;
}

/**
 * Crowds of several contenders, in turn, and what they come to: the waits, and the time that all took. `extra` are crowds
 * of another kind, measured by the caller in the same turns.
 */
export async function crowdRows(
  world: World,
  bucket: string,
  workers: readonly WorkerProcess[],
  entrants: Readonly<Record<string, Entrant>>,
  extra: Readonly<Record<string, () => Promise<Crowd>>> = {},
): Promise<Row[]> {
  const runs = new Map<string, Crowd[]>();
  const most = Math.max(...Object.values(entrants).map(({ repeats }) => repeats));
  // The first ones warm up: connections, compiled code, the stored limit.
  for (let repeat = -WARM_UPS; repeat < most; repeat++) {
    for (const [name, { contender, spec, repeats }] of Object.entries(entrants)) {
      if (repeat >= repeats) continue;
      const one = await crowd(workers, contender, spec, WAITERS, WORK_MS);
      if (repeat >= 0) runs.set(name, [...(runs.get(name) ?? []), one]);
    }
    for (const [name, run] of Object.entries(extra)) {
      const one = await run();
      if (repeat >= 0) runs.set(name, [...(runs.get(name) ?? []), one]);
    }
  }

  const raw = await rawHandOver(world, bucket, workers[0]!);
  const handOvers: number[] = [];
  for (let lap = 0; lap < world.times(RAW_LAPS); lap++) {
    handOvers.push(await raw.measure(() => pause(QUIET_MS)));
  }
  await raw.close();
  const handOver = figures(handOvers);
  const ours = Object.keys(entrants).filter((name) => entrants[name]?.contender.kind === 'library');
  const work = figures(ours.flatMap((name) => runs.get(name) ?? []).flatMap(({ works }) => works));
  const free = ideal(WAITERS, SLOTS, work.p50, 0);
  const best = ideal(WAITERS, SLOTS, work.p50, handOver.p50);

  const crowds = [...runs].map(([name, all]) => ({
    name,
    entrant: entrants[name],
    total: figures(all.map(({ total }) => total)),
    waits: all.flatMap(({ waits }) => waits),
  }));
  const named = <T>(of: (one: (typeof crowds)[number]) => T): Record<string, T> =>
    Object.fromEntries(crowds.map((one) => [one.name, of(one)]));
  const verdictsOf = (of: (one: (typeof crowds)[number], reach: Entrant) => Verdict[]): Verdict[] =>
    crowds.flatMap((one) => (one.entrant?.contender.kind === 'library' ? of(one, one.entrant) : []));

  return [
    {
      what: 'the parts: 1 ms of work by the timer, raw hand-over',
      unit: 'ms',
      figures: { work, 'raw hand-over': handOver },
      verdicts: [],
    },
    {
      what: 'time until all are done',
      unit: 'ms',
      figures: {
        ...named(({ total }) => total),
        'ideal, messages cost nothing': figures([free.total]),
        'ideal, raw hand-over': figures([best.total]),
      },
      verdicts: verdictsOf(({ name, total }, { throughput, freeThroughput }) => [
        judge(`${name}: throughput / ideal with raw hand-over`, best.total / total.p50, throughput),
        judge(`${name}: throughput / ideal with free messages`, free.total / total.p50, freeThroughput),
      ]),
    },
    {
      what: 'wait',
      unit: 'ms',
      figures: {
        ...named(({ waits }) => figures(waits)),
        'ideal, messages cost nothing': figures(free.waits),
        'ideal, raw hand-over': figures(best.waits),
      },
      verdicts: verdictsOf(({ name, waits }, { wait, freeWait }) => [
        judge(`${name}: p99 wait / ideal FIFO with raw hand-over`, figures(waits).p99 / best.p99, wait),
        judge(`${name}: p99 wait / ideal FIFO with free messages`, figures(waits).p99 / free.p99, freeWait),
      ]),
      curves: {
        ...named(({ waits }) => curve(waits)),
        'ideal, raw hand-over': curve(best.waits),
      },
    },
  ];
}
