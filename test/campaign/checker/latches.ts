import type { ClientLine, History } from '../history';
import { CLOCK_ERROR_MS } from './believed-holds';
import { type Disturbance, type Span, length, undisturbed } from './calm';
import { readable } from './readable';
import type { Violation } from './violation';

/** As for one who waits for a slot: see liveness. */
const LET_GO_WITHIN_MS = 12_000;

/** One latch as the stream tells it. */
interface LatchStory {
  /** When it was at zero. Of a time in which something is missing nothing is said. */
  readonly open: readonly Span[];
  readonly unknown: readonly Span[];
  /** How often each process counted, by client and run. */
  readonly counted: ReadonlyMap<string, number>;
}

/** That every count counted once, and that those who wait are let go at zero, none before. */
export function checkLatches(history: History, troubles: readonly Disturbance[]): Violation[] {
  return history.facts.jobs
    .filter(({ kind }) => kind === 'latch')
    .flatMap(({ name }) => {
      const story = readLatch(history, name);
      return history.runs.flatMap(({ client, run, lines }) => {
        const own = lines.filter((line) => 'name' in line && line.name === name);
        const who = { client, run: `${client}.${run}`, name };
        return [...checkCounts(own, story, who, history), ...checkWaits(own, story, who, history, troubles)];
      });
    });
}

interface Who {
  readonly client: string;
  readonly run: string;
  readonly name: string;
}

function checkCounts(
  own: readonly ClientLine[],
  { counted }: LatchStory,
  who: Who,
  { stream }: History,
): Violation[] {
  const asked = own.filter(({ t }) => t === 'count').length;
  // At zero it does not matter any more whether it counted.
  const certain = own.filter((line) => line.t === 'counted' && line.left > 0).length;
  const found = counted.get(who.run) ?? 0;
  const recorded = stream.length;
  const unrecorded = (stream.at(-1)?.revision ?? 0) - (stream[0]?.revision ?? 1) + 1 - recorded;
  if (found <= asked && found + unrecorded >= certain) return [];
  const message = `${who.run} counted ${who.name} down ${asked} times, ${certain} of them for certain; ${found} are stored`;
  return [
    { kind: 'miscounted', at: own.at(-1)?.at ?? 0, message, permits: [], name: who.name, client: who.client },
  ];
}

function checkWaits(
  own: readonly ClientLine[],
  { open, unknown }: LatchStory,
  { client, run, name }: Who,
  { until, faults }: History,
  troubles: readonly Disturbance[],
): Violation[] {
  const about = { permits: [], name, client };
  const killedAt =
    faults.find((line) => line.t === 'kill' && `${line.client}.${line.run}` === run)?.at ?? until;
  return own.flatMap((line, i): Violation[] => {
    if (line.t === 'open') {
      const span = { from: line.since, to: line.at + CLOCK_ERROR_MS };
      if ([...open, ...unknown].some((other) => overlap(span, other))) return [];
      return [
        {
          ...about,
          kind: 'let go early',
          at: line.at,
          message: `${run} was let go by ${name} before it was at zero`,
        },
      ];
    }
    if (line.t !== 'wait') return [];
    const next = own[i + 1]?.at ?? Math.min(until, killedAt);
    const stuck = open
      .map(({ from, to }) => ({ from: Math.max(from, line.at), to: Math.min(to, next) }))
      .flatMap((span) => undisturbed(span, troubles))
      .find((calm) => length(calm) > LET_GO_WITHIN_MS);
    if (stuck === undefined) return [];
    return [
      {
        ...about,
        kind: 'not let go',
        at: stuck.from,
        message: `${run} waited for ${name} while it was at zero`,
      },
    ];
  });
}

const overlap = (a: Span, b: Span): boolean => a.from <= b.to && b.from <= a.to;

interface Fields {
  readonly round?: string;
  readonly total?: number;
  readonly over?: boolean;
  readonly done?: number;
  readonly holder?: string;
}

function readLatch({ stream, until }: History, name: string): LatchStory {
  const open: { from: number; to: number }[] = [];
  const unknown: { from: number; to: number }[] = [];
  const highest = new Map<string, { holder: string; done: number }>();
  let round: Fields | undefined;
  let shares = new Map<string, number>();
  let openSince: number | undefined;
  let before = stream[0];
  for (const line of stream) {
    if (before !== undefined && line.revision - before.revision > 1)
      unknown.push({ from: before.storedAt, to: line.storedAt });
    before = line;
    const [kind, of, part, id = ''] = line.key.split('.');
    // Shares of the hostile client name no round that is.
    if (kind !== 'latch' || of !== name || line.hostile) continue;
    const fields = readable<Fields>(line);
    if (fields === undefined) continue;
    if (part === 'count') {
      if (fields.round !== round?.round) {
        shares = new Map();
        if (openSince !== undefined) open.push({ from: openSince, to: line.storedAt });
        openSince = undefined;
      }
      round = fields;
    } else {
      const { done = 0, holder = '' } = fields;
      if (fields.round === round?.round) shares.set(id, done);
      const key = `${id} ${fields.round}`;
      if (done > (highest.get(key)?.done ?? 0)) highest.set(key, { holder, done });
    }
    const left = (round?.total ?? 0) - [...shares.values()].reduce((a, b) => a + b, 0);
    if (round !== undefined && (round.over === true || left <= 0)) openSince ??= line.storedAt;
  }
  if (openSince !== undefined) open.push({ from: openSince, to: until });
  const counted = new Map<string, number>();
  for (const { holder, done } of highest.values()) counted.set(holder, (counted.get(holder) ?? 0) + done);
  return { open, unknown, counted };
}
