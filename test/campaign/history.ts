import { appendFileSync, existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Place } from '../support/occupancy';
import type { Job } from './load';

/*
 * What a campaign leaves behind, as files of JSON lines in one folder. Times are ms on the machine's monotonic clock, so
 * that those of all its processes can be compared.
 *
 *   campaign.json          what was run
 *   clients/<id>.<run>     what one process asked for, was told, and believed
 *   faults                 what was done to clients, links and servers
 *   stream                 what the bucket's stream stored
 *   hostile                what the hostile client sent
 *   readings               what each server had when one of them was back
 */

/** What a client writes down, each line before it goes on. */
export type ClientLine =
  | { readonly t: 'up'; readonly at: number; readonly pid: number }
  | {
      readonly t: 'ask';
      readonly at: number;
      readonly ask: number;
      readonly name: string;
      readonly count: number;
      readonly timeout?: number;
    }
  | {
      readonly t: 'grant';
      readonly at: number;
      readonly ask: number;
      readonly permit: string;
      readonly name: string;
      readonly slots: readonly Place[];
      readonly token: string;
      /** Ms that it may be believed for from `at` on. */
      readonly remaining: number;
    }
  /** A look at all permits: those held, and for how long each may be believed from `at` on. */
  | { readonly t: 'held'; readonly at: number; readonly permits: readonly (readonly [string, number])[] }
  | { readonly t: 'lost'; readonly at: number; readonly permit: string; readonly reason: string }
  /** About to be released: from here on it is not believed. */
  | { readonly t: 'release'; readonly at: number; readonly permit: string }
  | { readonly t: 'released'; readonly at: number; readonly permit: string; readonly code: string }
  | {
      readonly t: 'refused';
      readonly at: number;
      readonly ask: number;
      readonly code: string;
      readonly message: string;
    }
  | {
      readonly t: 'counts';
      readonly at: number;
      readonly unanswered: number;
      readonly resolved: number;
      readonly safetyReads: number;
      readonly safetyFinds: number;
      /** Statuses that its watchers gave, and lists of all primitives. */
      readonly reads: number;
    }
  /** About to count down a latch by one, and what was left then. */
  | { readonly t: 'count'; readonly at: number; readonly name: string }
  | { readonly t: 'counted'; readonly at: number; readonly name: string; readonly left: number }
  /** About to wait for a latch, and let go. */
  | { readonly t: 'wait'; readonly at: number; readonly name: string }
  | { readonly t: 'open'; readonly at: number; readonly name: string; readonly since: number }
  /** A reader ended by itself, or failed in another way than by the server's being out of reach: of a primitive, or of the list of all. */
  | { readonly t: 'reader ended'; readonly at: number; readonly name: string; readonly error: string }
  | { readonly t: 'fault'; readonly at: number; readonly error: string }
  | { readonly t: 'closed'; readonly at: number };

/** One process of a client: after each kill there is a new one. */
export interface ClientRun {
  readonly client: string;
  readonly run: number;
  readonly lines: readonly ClientLine[];
}

/** What was done from outside. */
export type FaultLine =
  | {
      readonly t: 'begin';
      readonly at: number;
      readonly fault: number;
      readonly kind: string;
      /** `server`, `all links`, or the client concerned. */
      readonly target: string;
      readonly detail: string;
    }
  | { readonly t: 'end'; readonly at: number; readonly fault: number }
  /** About to send SIGKILL to a client. */
  | { readonly t: 'kill'; readonly at: number; readonly client: string; readonly run: number }
  | {
      readonly t: 'exit';
      readonly at: number;
      readonly client: string;
      readonly run: number;
      readonly code: number | null;
      readonly signal: string | null;
      readonly expected: boolean;
      readonly stderr: string;
    }
  /** No new faults from now on until `storm`. */
  | { readonly t: 'calm'; readonly at: number }
  | { readonly t: 'storm'; readonly at: number }
  /** Clients were told to come to an end. */
  | { readonly t: 'finish'; readonly at: number }
  | { readonly t: 'hung'; readonly at: number; readonly client: string; readonly run: number }
  /** What was left when all clients had gone. */
  | { readonly t: 'left'; readonly at: number; readonly keys: readonly string[]; readonly consumers: number };

/** One message of the bucket's stream. */
export interface StreamLine {
  readonly revision: number;
  readonly key: string;
  /** The key's revision before, if the message tells; 0: nothing was there. */
  readonly last: number | undefined;
  /** Null: the key was removed. */
  readonly value: string | null;
  /** `PURGE`, `MaxAge` and so on if it is a removal. */
  readonly marker: string;
  /** Why a reader can not take it for an entry, whatever its value. */
  readonly fault?: string | undefined;
  /** The hostile client wrote it, or had it written. */
  readonly hostile?: true | undefined;
  /** How long the server keeps it, in ms; undefined: until it is written over. */
  readonly ttl?: number | undefined;
  /** When the server stored it, by its own clock, on ours. */
  readonly storedAt: number;
  /** When it was heard; of one that was read later, when that was. */
  readonly at: number;
}

/** What the hostile client has done so far. */
export interface HostileLine {
  readonly at: number;
  /** Messages that it sent, by kind. */
  readonly sent: Readonly<Record<string, number>>;
  /** Answers, and what the server refused, by what it said. */
  readonly answers: Readonly<Record<string, number>>;
}

/** Which values a server had at some moment. */
export interface ReadingLine {
  /** When it was asked. */
  readonly at: number;
  readonly server: number;
  /** Whether what it has decides: it led the stream before and afterwards, or is the only one. */
  readonly leads: boolean;
  /** Up to which revision it knew the stream. */
  readonly upTo: number;
  readonly entries: readonly (readonly [key: string, revision: number])[];
}

export interface CampaignFacts {
  readonly seed: number;
  readonly topology: string;
  readonly bucket: string;
  readonly clients: number;
  readonly jobs: readonly Job[];
  readonly startedAt: number;
}

export interface History {
  readonly facts: CampaignFacts;
  readonly runs: readonly ClientRun[];
  readonly faults: readonly FaultLine[];
  readonly stream: readonly StreamLine[];
  readonly readings: readonly ReadingLine[];
  readonly hostile: readonly HostileLine[];
  /** Nothing is known of what happened later. */
  readonly until: number;
}

/** Appends lines to a file, each in full before it returns: a process that dies afterwards has said it. */
export class LineFile<T extends object> {
  constructor(private readonly path: string) {}

  add(line: T): void {
    appendFileSync(this.path, `${JSON.stringify(line)}\n`);
  }
}

export const files = {
  facts: (folder: string) => join(folder, 'campaign.json'),
  clients: (folder: string) => join(folder, 'clients'),
  client: (folder: string, client: string, run: number) => join(folder, 'clients', `${client}.${run}.jsonl`),
  faults: (folder: string) => join(folder, 'faults.jsonl'),
  stream: (folder: string) => join(folder, 'stream.jsonl'),
  readings: (folder: string) => join(folder, 'readings.jsonl'),
  hostile: (folder: string) => join(folder, 'hostile.jsonl'),
  report: (folder: string) => join(folder, 'report.json'),
};

/** @param until when the last thing happened of which all is known; default: the last thing that was written down */
export function readHistory(folder: string, until?: number): History {
  const runs = readdirSync(files.clients(folder)).map((name) => {
    const [client = '', run] = name.split('.');
    return { client, run: Number(run), lines: linesOf<ClientLine>(join(files.clients(folder), name)) };
  });
  runs.sort((a, b) => (a.client < b.client ? -1 : a.client > b.client ? 1 : a.run - b.run));
  const faults = linesOf<FaultLine>(files.faults(folder));
  const stream = linesOf<StreamLine>(files.stream(folder)).sort((a, b) => a.revision - b.revision);
  const ends = [...runs.map(({ lines }) => lines), faults].map((lines) => lines.at(-1)?.at ?? 0);
  return {
    facts: JSON.parse(readFileSync(files.facts(folder), 'utf8')) as CampaignFacts,
    runs,
    faults,
    stream,
    readings: linesOf<ReadingLine>(files.readings(folder)),
    hostile: linesOf<HostileLine>(files.hostile(folder)),
    until: until ?? Math.max(...ends),
  };
}

/** A line that was being written when its process was killed is left out. */
function linesOf<T>(path: string): T[] {
  if (!existsSync(path)) return [];
  const text = readFileSync(path, 'utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return whole
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}
