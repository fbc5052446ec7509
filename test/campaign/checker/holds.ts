import type { Place } from '../../support/occupancy';
import type { Job } from '../load';
import type { History, StreamLine } from '../history';
import { isHold, readable } from './readable';
import type { Violation } from './violation';

/**
 * A slot's key had the same permit in it, from a claim to what removed it. Of a read-write lock the writer's place is the slot
 * `writer`, and each who reads has a slot of its own, `reader.<permit>`.
 */
export interface Hold {
  readonly name: string;
  readonly slot: Place;
  readonly permit: string;
  /** Who wrote it: client and run. */
  readonly holder: string;
  readonly ttl: number;
  /** Revision that its fencing token is made of: of the claim; undefined if that was not recorded. */
  readonly claim: number | undefined;
  /** Which grant under that revision it is. */
  readonly use: number;
  /** Nobody holds it: its process keeps the slot. */
  readonly kept: boolean;
  /**
   * The hostile client wrote its first entry: a gift, as the protocol allows it, to a ticket of another client; or a forgery, which
   * nobody is to believe. One that can not be read has no permit.
   */
  readonly hostile: 'gift' | 'forgery' | undefined;
  /** All that was written of it. */
  readonly revisions: number[];
  /** When it was claimed, or first seen. */
  readonly from: number;
  /** By then it had gone; undefined: it is still there, as far as is known. */
  to: number | undefined;
  /** Up to then it is known to have been there; undefined: it still is. */
  seenUntil: number | undefined;
  /** How it went: the marker, `passed on`, or `unknown` if that was not recorded. */
  endedBy: string | undefined;
}

/** A span in which nothing is known of a slot. */
export interface Unknown {
  readonly name: string;
  readonly slot: Place;
  readonly from: number;
  readonly to: number;
}

export interface StreamStory {
  readonly holds: readonly Hold[];
  readonly unknown: readonly Unknown[];
  readonly violations: readonly Violation[];
  /** Highest number of slots taken at once, by name. */
  readonly peak: Readonly<Record<string, number>>;
}

interface Last {
  readonly index: number;
  readonly line: StreamLine;
  readonly hold: Hold | undefined;
}

export const WRITER = 'writer';
export const readerPlace = (permit: string): Place => `reader.${permit}`;

interface Fields {
  readonly permit: string;
  readonly holder: string;
  readonly ttl: number;
  readonly token?: number;
  readonly use?: number;
  readonly kept?: boolean;
  readonly after?: string;
  readonly given?: number;
  readonly ticket?: string;
  readonly slots?: number;
}

/** Of an entry in a slot that no client can read: the slot is taken. */
const UNREADABLE: Fields = { permit: '', holder: '', ttl: 0 };

/**
 * Goes through all that was stored, revision by revision, by the protocol's page and not by the library's code. Where
 * revisions were not recorded, each message's own "revision before" tells whether anything of its key is missing; what is
 * missing is taken for unknown, never for a violation.
 */
export function readStream({ stream, facts, until }: History): StreamStory {
  const jobs = new Map(facts.jobs.map((job) => [job.name, job]));
  const lines = stream.filter(({ storedAt }) => storedAt <= until);
  const missing = firstMissing(lines);
  const last = new Map<string, Last>();
  const taken = new Map<string, number>();
  const tickets = new Map<string, number>();
  const story = {
    holds: [] as Hold[],
    unknown: [] as Unknown[],
    violations: [] as Violation[],
    peak: {} as Record<string, number>,
  };
  for (const [i, line] of lines.entries()) {
    const [, name = '', part, which = ''] = line.key.split('.');
    const job = jobs.get(name);
    if (job === undefined || job.kind === 'latch') continue;
    if (part === 'limit') checkLimit(line, job, readable<Fields>(line), story.violations);
    if (part === 'ticket' && line.hostile === undefined && line.value !== null)
      tickets.set(line.key, tickets.get(line.key) ?? line.revision);
    const slot = placeOf(part, which);
    if (slot === undefined) continue;
    const fields = holdIn(line);
    if (fields === UNREADABLE && line.hostile === undefined) story.violations.push(unreadable(line, name));
    const before = last.get(line.key);
    const unbroken = before !== undefined && follows(line, before, i, missing);
    if (before !== undefined && !unbroken)
      story.unknown.push({ name, slot, from: before.line.storedAt, to: line.storedAt });
    const known = line.hostile === undefined ? undefined : isGift(line, fields, tickets) ? 'gift' : 'forgery';
    const hold = next(line, fields, before, unbroken, name, slot, known, story.violations);
    if (before?.hold !== undefined && before.hold !== hold) {
      before.hold.to = line.storedAt;
      before.hold.seenUntil = unbroken ? line.storedAt : (missing[before.index]?.since ?? line.storedAt);
      before.hold.endedBy = !unbroken ? 'unknown' : fields === undefined ? line.marker : 'passed on';
    }
    if (hold !== undefined && hold !== before?.hold) story.holds.push(hold);
    const now = (taken.get(name) ?? 0) + (hold === undefined ? 0 : 1) - (before?.hold === undefined ? 0 : 1);
    taken.set(name, now);
    story.peak[name] = Math.max(story.peak[name] ?? 0, now);
    // What the hostile client writes stands there; nobody believes in it but by a gift, which is looked at where it is believed.
    if (hold !== undefined && hold !== before?.hold && hold.hostile === undefined) {
      const { permit } = hold;
      if (typeof slot === 'number' && slot >= job.slots)
        story.violations.push(
          above(line, permit, `slot ${slot} of ${name} is beyond its limit of ${job.slots}`),
        );
      if (part === 'reader') {
        const writer = last.get(`rw.${name}.writer`);
        const known = writer !== undefined && (missing[writer.index]?.index ?? Infinity) > i;
        if (writer?.hold !== undefined && known) story.violations.push(letIn(line, hold, writer.hold));
      }
    }
    last.set(line.key, { index: i, line, hold });
  }
  for (const { hold, index } of last.values()) if (hold !== undefined) hold.seenUntil = missing[index]?.since;
  return story;
}

function next(
  line: StreamLine,
  fields: Fields | undefined,
  before: Last | undefined,
  unbroken: boolean,
  name: string,
  slot: Place,
  hostile: Hold['hostile'],
  violations: Violation[],
): Hold | undefined {
  if (fields === undefined) return undefined;
  const { permit, holder, ttl, token, after, given, use = 0, kept = false } = fields;
  // Whatever it says, it writes where nothing is.
  const renewal = token !== undefined && after === undefined && hostile === undefined;
  const there = before?.hold;
  if (there?.permit === permit && renewal) {
    there.revisions.push(line.revision);
    return there;
  }
  // Nothing but its own permit is ever written to a reader's key; a claim sent again may be stored over itself.
  const again = there?.permit === permit && typeof slot === 'string' && slot !== WRITER;
  // A process may pass a slot on among its own, keep it, or give it to one of another process that queues; whether the one
  // before had stopped believing, others judge.
  const toWhom = there?.holder === holder || given !== undefined;
  const passedOn = after !== undefined && there?.permit === after && toWhom;
  const itsOwn = hostile !== undefined && there?.hostile !== undefined;
  const replaces = unbroken && there !== undefined && !passedOn && !again && !itsOwn;
  const fromNothing = hostile === undefined && after !== undefined && unbroken && !passedOn;
  if (replaces || (renewal && unbroken) || fromNothing) {
    const deed = renewal ? 'renews' : after === undefined ? 'claims' : `takes over from ${after}`;
    violations.push({
      kind: 'written over',
      at: line.storedAt,
      message: `revision ${line.revision} ${deed} slot ${slot} of ${name} for ${permit}, where there was ${there?.permit ?? 'nothing'}`,
      permits: there === undefined ? [permit] : [there.permit, permit],
      name,
    });
  }
  return {
    name,
    slot,
    permit,
    holder,
    ttl,
    claim: renewal ? undefined : (token ?? line.revision),
    use,
    kept,
    hostile,
    revisions: [line.revision],
    from: line.storedAt,
    to: undefined,
    seenUntil: undefined,
    endedBy: undefined,
  };
}

/** What stands in a place; undefined: nothing. */
function holdIn(line: StreamLine): Fields | undefined {
  if (line.value === null) return undefined;
  const fields = readable<Fields>(line);
  // What clients write is looked at by other rules.
  if (fields === undefined || (line.hostile && !isHold({ ...fields }, line.revision))) return UNREADABLE;
  return fields;
}

/**
 * Whether it gives the slot to a ticket of another client, and names a revision from when the ticket was there: the waiter then counts from
 * its last write up to there, which is before the gift was stored.
 */
function isGift(
  { key }: StreamLine,
  fields: Fields | undefined,
  tickets: ReadonlyMap<string, number>,
): boolean {
  const [kind, name] = key.split('.');
  const { given, ticket } = fields ?? {};
  return (given ?? 0) >= (tickets.get(`${kind}.${name}.ticket.${ticket}`) ?? Infinity);
}

function unreadable({ key, revision, storedAt, fault }: StreamLine, name: string): Violation {
  return {
    kind: 'unreadable',
    at: storedAt,
    message: `revision ${revision} of ${key} is of a client, and can not be read${fault === undefined ? '' : `: ${fault}`}`,
    permits: [],
    name,
  };
}

/** Whether a message came right after the one that was seen before under its key. */
function follows(
  line: StreamLine,
  before: Last,
  index: number,
  missing: readonly (Gap | undefined)[],
): boolean {
  if (line.last === before.line.revision) return true;
  // A marker goes away by itself, and then there is nothing under the key.
  if (line.last === 0 && before.hold === undefined) return true;
  return line.last === undefined && (missing[before.index]?.index ?? Infinity) > index;
}

/** Revisions of which nothing is known. */
interface Gap {
  /** Of the line that came after it. */
  readonly index: number;
  /** When the line before it was stored. */
  readonly since: number;
}

/** For each line the first gap after it. */
function firstMissing(lines: readonly StreamLine[]): (Gap | undefined)[] {
  const gaps: (Gap | undefined)[] = [];
  let next: Gap | undefined;
  for (let i = lines.length - 1; i >= 0; i--) {
    gaps[i] = next;
    const [line, before] = [lines[i] as StreamLine, lines[i - 1]];
    if (before !== undefined && line.revision - before.revision > 1)
      next = { index: i, since: before.storedAt };
  }
  return gaps;
}

function placeOf(part: string | undefined, which: string): Place | undefined {
  if (part === 'slot') return Number(which);
  if (part === 'writer') return WRITER;
  return part === 'reader' ? readerPlace(which) : undefined;
}

function letIn(line: StreamLine, { permit, name }: Hold, writer: Hold): Violation {
  return {
    kind: 'let in',
    at: line.storedAt,
    message: `revision ${line.revision} lets ${permit} read under ${name}, while ${writer.permit} had the writer's place`,
    permits: [permit, writer.permit],
    name,
  };
}

function checkLimit(line: StreamLine, job: Job, fields: Fields | undefined, violations: Violation[]): void {
  if (fields?.slots === job.slots) return;
  violations.push({
    kind: 'limit changed',
    at: line.storedAt,
    message: `revision ${line.revision} makes the limit of ${job.name} ${fields?.slots ?? 'nothing'}, not ${job.slots}`,
    permits: [],
    name: job.name,
  });
}

function above({ storedAt, key }: StreamLine, permit: string, message: string): Violation {
  return { kind: 'above the limit', at: storedAt, message, permits: [permit], name: key.split('.')[1] ?? '' };
}
