import { quantile } from 'simple-statistics';

/** Durations of one thing, in ms. */
export interface Figures {
  readonly p50: number;
  readonly p99: number;
}

/**
 * Times several things in turn, a few at a time, so that all of them see the same noise of the machine; absolute figures
 * differ from run to run, their ratio hardly.
 */
export async function sideBySide<K extends string>(
  things: Record<K, () => Promise<number>>,
  rounds: number,
  perRound: number,
): Promise<Record<K, Figures>> {
  const names = Object.keys(things) as K[];
  const taken = new Map<K, number[]>(names.map((name) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    for (const name of names) {
      for (let i = 0; i < perRound; i++) {
        const ms = await things[name]();
        // The first round warms up.
        if (round >= 0) taken.get(name)?.push(ms);
      }
    }
  }
  const figures = names.map((name) => {
    const all = taken.get(name) ?? [];
    return [name, { p50: quantile(all, 0.5), p99: quantile(all, 0.99) }] as const;
  });
  return Object.fromEntries(figures) as Record<K, Figures>;
}

/** How long something takes, in ms. */
export async function timed(what: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await what();
  return performance.now() - start;
}
