import type { Figures } from './measure';

/** How far the library is to get. */
export type Reach = { readonly atMost: number } | { readonly atLeast: number };

/** A figure that is compared with what is to be reached. Without a reach it is only reported. */
export interface Verdict {
  readonly what: string;
  readonly value: number;
  readonly reach?: Reach;
  readonly met?: boolean;
}

/** One thing measured, for all contenders in the same minutes on the same machine. */
export interface Row {
  readonly what: string;
  readonly unit:
    'ms' | 'us' | 'bytes' | '% of a core' | 'us of CPU' | 'per 100 ms' | 'a second' | 'count' | 'times';
  readonly figures: Readonly<Record<string, Figures>>;
  readonly verdicts: readonly Verdict[];
  /** Quantiles of the distribution, at those of {@link CURVE}. */
  readonly curves?: Readonly<Record<string, readonly number[]>>;
}

export interface Section {
  readonly scenario: string;
  readonly title: string;
  /** What must be known to read the figures. */
  readonly note: string;
  readonly rows: readonly Row[];
}

export function judge(what: string, value: number, reach?: Reach): Verdict {
  if (reach === undefined) return { what, value };
  const met = 'atMost' in reach ? value <= reach.atMost : value >= reach.atLeast;
  return { what, value, reach, met };
}
