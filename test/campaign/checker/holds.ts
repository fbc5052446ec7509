import type { Job } from '../load';
import type { History, StreamLine } from '../history';
import type { Violation } from './violation';

/** A slot's key had the same permit in it, from a claim to what removed it. */
export interface Hold {
  readonly name: string;
  readonly slot: number;
  readonly permit: string;
  /** Who wrote it: client and run. */
  readonly holder: string;
  readonly ttl: number;
  /** Revision of the claim; undefined if that was not recorded. */
  readonly claim: number | undefined;
  /** When it was claimed, or first seen. */
  readonly from: number;
  /** By then it had gone; undefined: it is still there. */
  to: number | undefined;
  /** How it went: the marker, `passed on`, or `unknown` if that was not recorded. */
  endedBy: string | undefined;
}

/** A span in which nothing is known of a slot. */
export interface Unknown {
  readonly name: string;
  readonly slot: number;
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
  readonly line: StreamLine;
  readonly hold: Hold | undefined;
}

interface Fields {
  readonly permit: string;
  readonly holder: string;
  readonly ttl: number;
  readonly token?: number;
  readonly after?: string;
  readonly slots?: number;
}

/**
 * Goes through all that was stored, revision by revision, by the protocol's page and not by the library's code. Where
 * revisions were not recorded, each message's own "revision before" tells whether anything of its key is missing; what is
 * missing is taken for unknown, never for a violation.
 */
export function readStream({ stream, facts, until }: History): StreamStory {
  const jobs = new Map(facts.jobs.map((job) => [job.name, job]));
  const lines = stream.filter(({ storedAt }) => storedAt <= until);
  const position = new Map(lines.map(({ revision }, i) => [revision, i]));
  const last = new Map<string, Last>();
  const taken = new Map<string, number>();
  const story = {
    holds: [] as Hold[],
    unknown: [] as Unknown[],
    violations: [] as Violation[],
    peak: {} as Record<string, number>,
  };
  for (const [i, line] of lines.entries()) {
    const [, name = '', part, which = ''] = line.key.split('.');
    const job = jobs.get(name);
    if (job === undefined) continue;
    const fields = line.value === null ? undefined : (JSON.parse(line.value) as Fields);
    if (part === 'limit') checkLimit(line, job, fields, story.violations);
    if (part !== 'slot') continue;
    const before = last.get(line.key);
    const slot = Number(which);
    const unbroken = before !== undefined && follows(line, before, i, position);
    if (before !== undefined && !unbroken)
      story.unknown.push({ name, slot, from: before.line.storedAt, to: line.storedAt });
    const hold = next(line, fields, before, unbroken, name, slot, story.violations);
    if (before?.hold !== undefined && before.hold !== hold) {
      before.hold.to = line.storedAt;
      before.hold.endedBy = !unbroken ? 'unknown' : fields === undefined ? line.marker : 'passed on';
    }
    if (hold !== undefined && hold !== before?.hold) story.holds.push(hold);
    const now = (taken.get(name) ?? 0) + (hold === undefined ? 0 : 1) - (before?.hold === undefined ? 0 : 1);
    taken.set(name, now);
    story.peak[name] = Math.max(story.peak[name] ?? 0, now);
    if (hold !== undefined && hold !== before?.hold) {
      const { permit } = hold;
      if (slot >= job.slots)
        story.violations.push(
          above(line, permit, `slot ${slot} of ${name} is beyond its limit of ${job.slots}`),
        );
    }
    last.set(line.key, { line, hold });
  }
  return story;
}

function next(
  line: StreamLine,
  fields: Fields | undefined,
  before: Last | undefined,
  unbroken: boolean,
  name: string,
  slot: number,
  violations: Violation[],
): Hold | undefined {
  if (fields === undefined) return undefined;
  const { permit, holder, ttl, token, after } = fields;
  const renewal = token !== undefined;
  const there = before?.hold;
  if (there?.permit === permit && renewal) return there;
  // A process may pass a slot on among its own; whether the one before had stopped believing, others judge.
  const passedOn = after !== undefined && there?.permit === after && there.holder === holder && !renewal;
  const replaces = unbroken && there !== undefined && !passedOn;
  if (replaces || (renewal && unbroken) || (after !== undefined && unbroken && !passedOn)) {
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
    claim: renewal ? undefined : line.revision,
    from: line.storedAt,
    to: undefined,
    endedBy: undefined,
  };
}

/** Whether a message came right after the one that was seen before under its key. */
function follows(
  line: StreamLine,
  before: Last,
  index: number,
  position: ReadonlyMap<number, number>,
): boolean {
  if (line.last === before.line.revision) return true;
  // A marker goes away by itself, and then there is nothing under the key.
  if (line.last === 0 && before.hold === undefined) return true;
  const at = position.get(before.line.revision) ?? -1;
  return line.last === undefined && index - at === line.revision - before.line.revision;
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
