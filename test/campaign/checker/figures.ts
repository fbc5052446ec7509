import { max, median, quantile } from 'simple-statistics';
import type { History, HostileLine } from '../history';
import type { Belief } from './beliefs';
import { type Disturbance, undisturbed, length } from './calm';
import { isBroughtBack } from './endings';
import type { StreamStory } from './holds';
import { leftoversOf } from './sweeping';

export interface Spread {
  readonly count: number;
  readonly median: number;
  readonly max: number;
}

export interface Waits {
  readonly count: number;
  readonly median: number;
  readonly p99: number;
}

/** What a campaign measured. */
export interface Figures {
  readonly seconds: number;
  readonly acquisitions: number;
  readonly releases: number;
  readonly losses: number;
  readonly refusals: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  readonly processes: number;
  readonly revisions: number;
  /** Revisions of the stream that nobody recorded. */
  readonly unrecorded: number;
  readonly writes: { readonly unanswered: number; readonly resolved: number };
  readonly safetyReads: number;
  readonly safetyFinds: number;
  /** What those who watch were told, and lists of all primitives. */
  readonly reads: number;
  /** From the kill of a holder to the next grant of its slot to somebody who waited already; ms. */
  readonly takeover: Spread | undefined;
  /** From asking to the grant, of primitives to which the hostile client does not write; ms. */
  readonly waits: {
    readonly all: Waits | undefined;
    /** Of them those during which nothing was wrong. */
    readonly calm: Waits | undefined;
  };
  /** What the hostile client sent, by kind, and what the server answered to it. */
  readonly hostile: Pick<HostileLine, 'sent' | 'answers'> | undefined;
  /** From the return of a server, or the death of a leader, to the end of the longest span without a claim that began before the return; ms. */
  readonly recovery: Readonly<Record<string, Spread>>;
  /** Keys that were there at the end although the stream had stored their removal. */
  readonly broughtBack: number;
  /** What servers had for longer than they should, and clients removed. */
  readonly leftovers: ReturnType<typeof leftoversOf>;
  /** Highest number of slots taken at once, by name, of how many. */
  readonly peak: Readonly<Record<string, string>>;
}

const RECOVERY_AT_MOST_MS = 10_000;

export function figuresOf(
  history: History,
  beliefs: readonly Belief[],
  story: StreamStory,
  troubles: readonly Disturbance[],
): Figures {
  const { runs, faults, stream, facts, until } = history;
  const lines = runs.flatMap((run) => run.lines);
  const counts = runs.map((run) => run.lines.findLast((line) => line.t === 'counts'));
  const total = (what: 'unanswered' | 'resolved' | 'safetyReads' | 'safetyFinds' | 'reads'): number =>
    counts.reduce((sum, line) => sum + (line?.[what] ?? 0), 0);
  const [first, last] = [stream[0]?.revision ?? 0, stream.at(-1)?.revision ?? -1];
  const kinds = faults.flatMap((line) => (line.t === 'begin' ? [line.kind] : []));
  return {
    seconds: Math.round((until - facts.startedAt) / 1_000),
    acquisitions: beliefs.length,
    releases: lines.filter((line) => line.t === 'released' && line.code === 'ok').length,
    losses: beliefs.filter(({ ending }) => ending === 'lost').length,
    refusals: tally(lines.flatMap((line) => (line.t === 'refused' ? [line.code] : []))),
    faults: tally(kinds),
    processes: runs.length,
    revisions: stream.length,
    unrecorded: last - first + 1 - stream.length,
    writes: { unanswered: total('unanswered'), resolved: total('resolved') },
    safetyReads: total('safetyReads'),
    safetyFinds: total('safetyFinds'),
    reads: total('reads'),
    takeover: spread(takeovers(beliefs)),
    waits: waitsOf(history, beliefs, troubles),
    hostile: history.hostile.at(-1),
    recovery: recoveries(history, story),
    broughtBack: faults.flatMap((line) =>
      line.t === 'left' ? line.keys.filter((key) => isBroughtBack(key, stream, line.at)) : [],
    ).length,
    leftovers: leftoversOf(history, troubles),
    peak: Object.fromEntries(
      facts.jobs.map(({ name, slots }) => [name, `${story.peak[name] ?? 0} of ${slots}`]),
    ),
  };
}

function takeovers(beliefs: readonly Belief[]): number[] {
  return beliefs
    .filter(({ ending, segments, endedAt }) => ending === 'killed' && segments.at(-1)?.to === endedAt)
    .flatMap(({ name, slots, token, endedAt }) =>
      slots.flatMap((slot) => {
        const later = beliefs.filter((b) => b.name === name && b.slots.includes(slot) && b.token > token);
        const next = later.reduce<Belief | undefined>((a, b) => (a && a.token < b.token ? a : b), undefined);
        return next !== undefined && next.askedAt <= endedAt ? [next.grantedAt - endedAt] : [];
      }),
    );
}

function waitsOf(
  { facts }: History,
  beliefs: readonly Belief[],
  troubles: readonly Disturbance[],
): Figures['waits'] {
  const untouched = new Set(facts.jobs.flatMap(({ name, attacked }) => (attacked ? [] : [name])));
  const own = beliefs
    .filter(({ name }) => untouched.has(name))
    .map(({ askedAt, grantedAt }) => ({ from: askedAt, to: grantedAt }));
  const calm = own.filter(
    (span) => length(undisturbed(span, troubles)[0] ?? { from: 0, to: 0 }) === length(span),
  );
  const waits = (spans: typeof own): Waits | undefined => {
    if (spans.length === 0) return undefined;
    const all = spans.map(length);
    const digits = (ms: number): number => Math.round(ms * 10) / 10;
    return { count: all.length, median: digits(median(all)), p99: digits(quantile(all, 0.99)) };
  };
  return { all: waits(own), calm: waits(calm) };
}

function recoveries({ faults, until }: History, { holds }: StreamStory): Record<string, Spread> {
  const claims = holds.map(({ from }) => from).sort((a, b) => a - b);
  const times = new Map<string, number[]>();
  for (const line of faults) {
    if (line.t !== 'begin' || line.target !== 'server' || line.kind === 'consumers deleted') continue;
    const end = faults.find((other) => other.t === 'end' && other.fault === line.fault)?.at ?? until;
    const back = line.kind === 'leader killed' ? line.at : end;
    const during = claims.filter((at) => at > line.at - 500 && at < end + RECOVERY_AT_MOST_MS);
    let longest = { ms: 0, to: back };
    for (const [i, to] of during.entries()) {
      const from = during[i - 1] ?? to;
      // What begins later is the doing of something else.
      if (from > end) break;
      const ms = to - from;
      if (ms > longest.ms) longest = { ms, to };
    }
    times.set(line.kind, [...(times.get(line.kind) ?? []), Math.max(0, longest.to - back)]);
  }
  return Object.fromEntries(
    [...times].flatMap(([kind, all]) => {
      const found = spread(all);
      return found === undefined ? [] : [[kind, found]];
    }),
  );
}

function spread(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const all = [...values];
  return { count: all.length, median: Math.round(median(all)), max: Math.round(max(all)) };
}

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of [...words].sort()) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}
