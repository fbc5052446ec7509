import { MAX_TIMER_MS } from '../runtime/clock';
import {
  FORMAT_VERSION,
  between,
  decoderOf,
  earlierRevision,
  flag,
  id,
  oneOf,
  optional,
  strings,
  text,
  time,
  whole,
} from './decode';
import { LAST_USE } from './fencing-token';

/**
 * The values in the bucket: JSON that a person can read, with a version. What does not decode is never repaired, never
 * overwritten and never taken for free. `docs/protocol.md` describes them for other clients.
 */

/** Most slots that one permit takes at once: what the server takes in one atomic batch. */
export const MAX_AT_ONCE = 1_000;

/** Most slots that a primitive can have. Looking at all of them must stay cheap. */
export const MAX_SLOTS = 10_000;

/**
 * Longest ttl of a ticket and of a demand notice, in ms. This library writes the same: nothing that its process left behind may
 * hold up others for longer.
 */
export const MAX_WAITING_TTL_MS = 10_000;

/** Value of a slot that is held. */
export interface Hold {
  /** Id of the permit that holds the slot; the same in all slots of one permit. */
  readonly permit: string;
  /** Who holds it, for people. */
  readonly holder: string;
  /** When the permit was granted, by the holder's wall clock: ISO 8601, for people. */
  readonly since: string;
  /** How long the hold lasts after this write, in ms. */
  readonly ttl: number;
  /** Revision of the permit's fencing token. Absent in the claim itself, whose own revision it is. */
  readonly token?: number;
  /** Which grant under that revision it is, for one that was made without a write; absent: the first. */
  readonly use?: number;
  /** The ticket that this hold serves. */
  readonly ticket?: string;
  /** The permit that the entry named until now, in the write with which its process passed the slot on, or kept it. */
  readonly after?: string;
  /** Whoever held the slot before gave it to the ticket's waiter. The ticket's revision as it was known then. */
  readonly given?: number;
  /** For how long its process keeps the slot after a release, in ms: others who wait should say so, by a demand notice. */
  readonly retain?: number;
  /** Nobody holds it at the moment: a process keeps it for itself, until somebody else wants it. */
  readonly kept?: boolean;
  readonly meta?: Readonly<Record<string, string>>;
}

/** Value of a ticket: a place in the queue. */
export interface Ticket {
  readonly holder: string;
  readonly since: string;
  readonly ttl: number;
  /** How many slots it waits for. */
  readonly count: number;
  /** Of a read-write lock: what it waits for. */
  readonly mode?: 'read' | 'write';
  /** The ttl of the permit that it waits for, where it takes a slot that is given to it. */
  readonly holdTtl?: number;
  /** Its place: the revision that created it. Absent in the write that did. */
  readonly token?: number;
  readonly meta?: Readonly<Record<string, string>>;
}

/** Value of a demand notice: a process waits, so what is kept should be given back. */
export interface WishRecord {
  readonly holder: string;
  readonly since: string;
  readonly ttl: number;
}

/** Value of the limit. */
export interface Limit {
  readonly slots: number;
  /** After how long without use the limit goes, in ms; absent: never. */
  readonly forgetAfter?: number;
}

/** Value of a removal notice: the primitive was removed, so that whoever waits for it, watches it or holds it is to end. */
export interface RemovalNotice {
  readonly holder: string;
  readonly since: string;
  readonly ttl: number;
  /** Whether permits were taken away for it. */
  readonly force: boolean;
}

/** Value of a latch: one round of counting down. */
export interface Round {
  /** Id of the round. */
  readonly round: string;
  /** What it counts down from. */
  readonly total: number;
  /** It has reached zero. The shares of those who counted may be gone then. */
  readonly over?: boolean;
}

/** Value of a share: how much one client has counted down in a round, all together. */
export interface Share {
  readonly round: string;
  readonly done: number;
  /** Who counted, for people. */
  readonly holder: string;
}

export function encodeRecord(record: object): string {
  return JSON.stringify({ v: FORMAT_VERSION, ...record });
}

/** Longest `holder`, in bytes. */
export const MAX_HOLDER_BYTES = 1_024;
/** Longest `meta`, in bytes as JSON. */
export const MAX_METADATA_BYTES = 4_096;
/** Shortest ttl, in ms: the server's. */
export const MIN_TTL_MS = 1_000;

const ttl = between(MIN_TTL_MS, MAX_TIMER_MS);
/** Of an entry that stands for a waiter: it would hold up others for so long after its process has died. */
const waitingTtl = between(MIN_TTL_MS, MAX_WAITING_TTL_MS);
const holder = text(MAX_HOLDER_BYTES);
const meta = optional(strings(MAX_METADATA_BYTES));

export const decodeHold = decoderOf<Hold>({
  permit: id,
  holder,
  since: time,
  ttl,
  token: optional(earlierRevision),
  use: optional(whole(0, LAST_USE)),
  ticket: optional(id),
  after: optional(id),
  given: optional(earlierRevision),
  retain: optional(between(0, MAX_TIMER_MS)),
  kept: optional(flag),
  meta,
});

export const decodeTicket = decoderOf<Ticket>({
  holder,
  since: time,
  ttl: waitingTtl,
  count: whole(1, MAX_AT_ONCE),
  mode: optional(oneOf('read', 'write')),
  holdTtl: optional(ttl),
  token: optional(earlierRevision),
  meta,
});

export const decodeWish = decoderOf<WishRecord>({ holder, since: time, ttl: waitingTtl });

export const decodeLimit = decoderOf<Limit>({
  slots: whole(1, MAX_SLOTS),
  forgetAfter: optional(whole(MIN_TTL_MS, MAX_TIMER_MS)),
});

export const decodeRemovalNotice = decoderOf<RemovalNotice>({
  holder,
  since: time,
  ttl: waitingTtl,
  force: flag,
});

export const decodeRound = decoderOf<Round>({
  round: id,
  total: whole(1, Number.MAX_SAFE_INTEGER),
  over: optional(flag),
});

export const decodeShare = decoderOf<Share>({
  round: id,
  done: whole(1, Number.MAX_SAFE_INTEGER),
  holder,
});
