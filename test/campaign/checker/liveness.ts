import type { ClientLine, History } from '../history';
import { HOSTILE_HOLDER } from '../hostile/marks';
import type { Job } from '../load';
import type { Belief } from './beliefs';
import { type Disturbance, type Span, disturbedMs, length, undisturbed } from './calm';
import { believedHolds } from './believed-holds';
import { type Hold, type StreamStory, WRITER } from './holds';
import type { Violation } from './violation';

/**
 * How long somebody may wait for a slot that is free, when nothing is wrong any more. Announcements that were lost without
 * a trace are made up for by a read every 10 s at most; a ticket of a dead waiter goes after 11.
 */
const SERVED_WITHIN_MS = { plain: 12_000, fair: 13_500 };
/** After the ttl of a hold whose holder is gone. */
const FREED_WITHIN_MS = 1_000;
/** The server and those who wait share the cores with everything else that runs in the test. */
const BUSY_MACHINE_MS = 1_000;
/** In which a client finds out about writes that were not answered, once nothing is in its way: an attempt takes 2 s. */
const RESOLVED_WITHIN_MS = 6_000;
/** Over its timeout, on a busy machine. */
const TIMEOUT_LATE_MS = 2_000;

interface Wait extends Span {
  readonly client: string;
  readonly run: number;
  readonly name: string;
  readonly count: number;
  readonly timeout: number | undefined;
  readonly over: boolean;
}

/** Whether all who could go on did, and all that was free to be taken was free. */
export function checkLiveness(
  history: History,
  beliefs: readonly Belief[],
  story: StreamStory,
  troubles: readonly Disturbance[],
): Violation[] {
  const { jobs } = history.facts;
  const ends = endsOfRuns(history);
  return [
    ...waitsOf(history, ends).flatMap((wait) => [
      ...checkServed(wait, story, jobs, troubles),
      ...checkTimeout(wait, troubles),
    ]),
    ...checkOrphans(history, beliefs, story, troubles, ends),
  ];
}

/** When each process ended: by whom ever. */
function endsOfRuns({ faults }: History): Map<string, number> {
  const ends = new Map<string, number>();
  for (const line of faults) {
    if (line.t !== 'kill' && line.t !== 'exit') continue;
    const run = `${line.client}.${line.run}`;
    ends.set(run, Math.min(ends.get(run) ?? Infinity, line.at));
  }
  return ends;
}

function waitsOf({ runs, until }: History, ends: ReadonlyMap<string, number>): Wait[] {
  return runs.flatMap(({ client, run, lines }) => {
    const answered = new Map<number, number>();
    for (const line of lines) if (line.t === 'grant' || line.t === 'refused') answered.set(line.ask, line.at);
    const last = Math.min(until, ends.get(`${client}.${run}`) ?? Infinity);
    return lines
      .filter((line): line is Extract<ClientLine, { t: 'ask' }> => line.t === 'ask' && line.at < until)
      .map(({ ask, at, name, count, timeout }) => {
        const answer = answered.get(ask) ?? Infinity;
        return {
          client,
          run,
          name,
          count,
          timeout,
          from: at,
          to: Math.min(answer, last),
          over: answer <= last,
        };
      });
  });
}

function checkServed(
  wait: Wait,
  story: StreamStory,
  jobs: readonly Job[],
  troubles: readonly Disturbance[],
): Violation[] {
  const job = jobs.find(({ name }) => name === wait.name);
  // On what is attacked, entries of the hostile client hold up others: places in the queue, slots.
  if (job === undefined || job.attacked || length(wait) <= SERVED_WITHIN_MS.plain) return [];
  const bound = job.fair ? SERVED_WITHIN_MS.fair : SERVED_WITHIN_MS.plain;
  // Who is first in line may want the most, and who wants to write wants it all.
  const needed = job.kind === 'read-write-lock' ? job.slots : Math.max(...job.counts);
  const stuck = undisturbed(wait, troubles)
    .filter((calm) => length(calm) > bound)
    .flatMap((calm) => spansWithFree(calm, needed, job, story))
    .find((span) => length(span) > bound);
  if (stuck === undefined) return [];
  return [
    {
      kind: 'not served',
      at: stuck.from,
      message:
        `${wait.client}.${wait.run} waited for ${wait.count} of ${wait.name} since ${wait.from.toFixed(0)}, while ${needed} ` +
        `of its slots were free and nothing was wrong for ${(length(stuck) / 1_000).toFixed(1)} s`,
      permits: [],
      name: wait.name,
      client: wait.client,
    },
  ];
}

/** Parts of a span in which at least `needed` slots of a job were free for certain. */
function spansWithFree(span: Span, needed: number, { name, slots }: Job, story: StreamStory): Span[] {
  const taken: Span[] = [...story.holds.filter(({ kept }) => !kept), ...story.unknown]
    .filter((some) => some.name === name)
    .map(({ from, to }) => ({ from, to: to ?? Infinity }));
  const times = taken.flatMap(({ from, to }) => [
    { at: from, by: 1 },
    { at: to, by: -1 },
  ]);
  times.sort((a, b) => a.at - b.at || a.by - b.by);
  const full: Span[] = [];
  let now = 0;
  let since: number | undefined;
  for (const { at, by } of times) {
    now += by;
    const lacking = slots - now < needed;
    if (lacking) since ??= at;
    else if (since !== undefined) {
      full.push({ from: since, to: at });
      since = undefined;
    }
  }
  if (since !== undefined) full.push({ from: since, to: Infinity });
  return undisturbed(span, full);
}

function checkTimeout(wait: Wait, troubles: readonly Disturbance[]): Violation[] {
  const { timeout, client, run, name } = wait;
  if (timeout === undefined) return [];
  const stopped = troubles.filter(({ target, kind }) => target === client && kind === 'client stopped');
  const took = length(wait) - disturbedMs(wait, stopped);
  if (took <= timeout + TIMEOUT_LATE_MS) return [];
  return [
    {
      kind: 'hung',
      at: wait.to,
      message: `an acquire of ${name} with a timeout of ${timeout} ms took ${took.toFixed(0)} ms in ${client}.${run}`,
      permits: [],
      name,
      client,
    },
  ];
}

/** Slots that were taken while nobody believed in them. */
function checkOrphans(
  { facts, until }: History,
  beliefs: readonly Belief[],
  { holds }: StreamStory,
  troubles: readonly Disturbance[],
  ends: ReadonlyMap<string, number>,
): Violation[] {
  const believedUntil = new Map<Hold, number>();
  for (const [{ segments }, own] of believedHolds(beliefs, holds)) {
    const to = segments.at(-1)?.to ?? 0;
    for (const hold of own) believedUntil.set(hold, Math.max(believedUntil.get(hold) ?? 0, to));
  }
  const retainOf = new Map(facts.jobs.map(({ name, retain = 0 }) => [name, retain]));
  const outages = troubles.filter(({ target }) => target === 'server');
  return holds.flatMap((hold) => {
    if (hold.hostile !== undefined) return [];
    const { name, slot, permit, holder, ttl } = hold;
    const from = Math.max(hold.from, believedUntil.get(hold) ?? 0);
    const vacant = { from, to: hold.seenUntil ?? until };
    const took = length(vacant) - disturbedMs(vacant, outages);
    const gone = Math.ceil(ttl / 1_000) * 1_000 + FREED_WITHIN_MS;
    const retain = retainOf.get(name) ?? 0;
    // Who is to write keeps its place while it waits for those who read: they may be dead as well.
    const allowed = (slot === WRITER ? 2 * gone : gone) + retain + BUSY_MACHINE_MS;
    const about = { at: from, permits: [permit], name, client: holder };
    const what = `slot ${slot} of ${name} stayed taken by ${permit} of ${holder}`;
    if (took > allowed)
      return [
        { ...about, kind: 'never freed', message: `${what} for ${took.toFixed(0)} ms, its ttl being ${ttl}` },
      ];
    if (holder === HOSTILE_HOLDER) return [];
    const alive = { from, to: Math.min(vacant.to, ends.get(holder) ?? Infinity) };
    const own = troubles.filter(
      ({ target }) => /server|links/.test(target) || holder.startsWith(`${target}.`),
    );
    const idle = Math.max(0, ...undisturbed(alive, own).map(length));
    if (idle > RESOLVED_WITHIN_MS + retain)
      return [
        {
          ...about,
          kind: 'forgotten',
          message: `${what} for ${idle.toFixed(0)} ms, while that was well and did not believe in it`,
        },
      ];
    return [];
  });
}
