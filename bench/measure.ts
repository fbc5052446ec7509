import { quantile } from 'simple-statistics';

/** What many measurements of one thing come to. */
export interface Figures {
  readonly n: number;
  readonly p50: number;
  readonly p99: number;
}

/** At which a distribution is kept for the picture. */
export const CURVE = [0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1];

const WARM_UP_ROUNDS = 3;

export function figures(values: readonly number[]): Figures {
  const all = [...values];
  return { n: all.length, p50: quantile(all, 0.5), p99: quantile(all, 0.99) };
}

export function curve(values: readonly number[]): number[] {
  return CURVE.map((at) => quantile([...values], at));
}

/** What stands for a single figure that was not sampled: a count, or a sum over the run. */
export function single(value: number): Figures {
  return { n: 1, p50: value, p99: value };
}

/**
 * Times several things in turn, a few at a time, so that all of them see the same noise of the machine; absolute figures
 * differ from run to run, their ratio hardly. The first rounds warm up and are not counted.
 */
export async function sideBySide<K extends string>(
  things: Record<K, () => Promise<number>>,
  rounds: number,
  perRound: number,
): Promise<Record<K, Figures>> {
  const names = Object.keys(things) as K[];
  const taken = new Map<K, number[]>(names.map((name) => [name, []]));
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    for (const name of names) {
      for (let i = 0; i < perRound; i++) {
        const measured = await things[name]();
        if (round >= 0) taken.get(name)?.push(measured);
      }
    }
  }
  return Object.fromEntries(names.map((name) => [name, figures(taken.get(name) ?? [])])) as Record<
    K,
    Figures
  >;
}

/** How long something takes, in ms. */
export async function timed(what: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await what();
  return performance.now() - start;
}

/** Milliseconds on CLOCK_MONOTONIC: readings of all processes of one machine can be compared. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
