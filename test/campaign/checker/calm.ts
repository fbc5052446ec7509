import type { FaultLine, History } from '../history';

/** A span in which something was wrong, and with whom. */
export interface Disturbance {
  readonly kind: string;
  /** `server`, `all links` or a client. */
  readonly target: string;
  readonly from: number;
  readonly to: number;
}

export interface Span {
  readonly from: number;
  readonly to: number;
}

/** A server that is back still has to find its place; by then it has, or something else is wrong. */
const LONGEST_RECOVERY_MS = 12_000;
const SETTLE_MS = 500;

/** What was wrong when. After a server fault that lasts until the stream stores something again. */
export function disturbances({ faults, stream, until }: History): Disturbance[] {
  const ends = new Map(faults.flatMap((line) => (line.t === 'end' ? [[line.fault, line.at] as const] : [])));
  const begun = faults.filter((line): line is Extract<FaultLine, { t: 'begin' }> => line.t === 'begin');
  const stored = stream.map(({ storedAt }) => storedAt).sort((a, b) => a - b);
  return begun.map(({ fault, kind, target, at }) => {
    const end = ends.get(fault) ?? Infinity;
    const again = target === 'server' ? (stored.find((time) => time > end) ?? until) : end;
    const to = Math.min(again, end + LONGEST_RECOVERY_MS) + SETTLE_MS;
    return { kind, target, from: at, to: Math.min(to, until) };
  });
}

/** The parts of a span in which nothing of `troubles` was the case. */
export function undisturbed(span: Span, troubles: readonly Span[]): Span[] {
  const calm: Span[] = [];
  let from = span.from;
  for (const trouble of [...troubles].sort((a, b) => a.from - b.from)) {
    if (trouble.to <= from) continue;
    if (trouble.from >= span.to) break;
    if (trouble.from > from) calm.push({ from, to: trouble.from });
    from = trouble.to;
  }
  if (from < span.to) calm.push({ from, to: span.to });
  return calm;
}

/** How much of a span lies within `troubles`. */
export function disturbedMs(span: Span, troubles: readonly Span[]): number {
  return length(span) - undisturbed(span, troubles).reduce((sum, calm) => sum + length(calm), 0);
}

export function length({ from, to }: Span): number {
  return Math.max(0, to - from);
}
