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
 * The values in the bucket: JSON that a person can read, with a version. A value that does not decode is never repaired, never
 * overwritten and never taken for free. `docs/protocol.md` describes the values for other clients.
 */

/** Most slots that one permit takes at once: as many as the server accepts writes in one atomic batch. */
export const MAX_AT_ONCE = 1_000;

/** Most slots that a primitive can have. A scan of all slots must stay cheap. */
export const MAX_SLOTS = 10_000;

/**
 * Longest ttl of a ticket and of a demand notice, in ms. This library writes the same: an entry that a dead process left behind
 * must not hold up other processes for longer.
 */
export const MAX_WAITING_TTL_MS = 10_000;

/** Value of a slot that is taken. */
export interface Hold {
  /** Id of the permit that holds the slot; the same in all slots of one permit. */
  readonly permit: string;
  /** Name of the holder, for people. */
  readonly holder: string;
  /** When the permit was granted, by the wall clock of the holder: ISO 8601, for people. */
  readonly since: string;
  /** How long the hold lasts after this write, in ms. */
  readonly ttl: number;
  /** Revision of the permit's fencing token. Absent in the claim itself: there it is the claim's own revision. */
  readonly token?: number;
  /** Number of the grant under that revision, for a grant made without a write; absent: the first grant. */
  readonly use?: number;
  /** The ticket that this hold serves. */
  readonly ticket?: string;
  /** The permit that the entry named before, in the write with which its process handed the slot off, or retained it. */
  readonly after?: string;
  /** Set if the holder before handed the slot off to the ticket's waiter: the ticket's revision as that holder knew it. */
  readonly given?: number;
  /** How long its process retains the slot after a release, in ms. A waiter in another process should write a demand notice. */
  readonly retain?: number;
  /** True for a retained slot: it has no holder, and its process retains it until another process wants it. */
  readonly kept?: boolean;
  readonly meta?: Readonly<Record<string, string>>;
}

/** Value of a ticket: a place in the fair queue. */
export interface Ticket {
  readonly holder: string;
  readonly since: string;
  readonly ttl: number;
  /** How many slots the ticket's waiter wants. */
  readonly count: number;
  /** Of a read-write lock: which side the waiter wants. */
  readonly mode?: 'read' | 'write';
  /** The ttl of the permit that the waiter wants, in ms. Present if the waiter accepts a slot that is handed off to it. */
  readonly holdTtl?: number;
  /** The place in the queue: the revision that created the ticket. Absent in the write that creates it. */
  readonly token?: number;
  readonly meta?: Readonly<Record<string, string>>;
}

/** Value of a demand notice: a process waits, so other processes should give up retained slots. */
export interface WishRecord {
  readonly holder: string;
  readonly since: string;
  readonly ttl: number;
}

/** Value of the limit. */
export interface Limit {
  readonly slots: number;
  /** After how long without use the limit expires, in ms; absent: never. */
  readonly forgetAfter?: number;
}

/** Value of a removal notice: the primitive was removed, so its waiters, watchers and holders must end. */
export interface RemovalNotice {
  readonly holder: string;
  readonly since: string;
  readonly ttl: number;
  /** Whether the removal took permits away. */
  readonly force: boolean;
}

/** Value of a latch: one round of counting down. */
export interface Round {
  /** Id of the round. */
  readonly round: string;
  /** The number that the round counts down from. */
  readonly total: number;
  /** True once the count has reached zero. The shares of the clients that counted may be gone then. */
  readonly over?: boolean;
}

/** Value of a share: how much one client has counted down in a round in total. */
export interface Share {
  readonly round: string;
  readonly done: number;
  /** Name of the client that counted, for people. */
  readonly holder: string;
}

export function encodeRecord(record: object): string {
  return JSON.stringify({ v: FORMAT_VERSION, ...record });
}

/** Longest `holder`, in bytes. */
export const MAX_HOLDER_BYTES = 1_024;
/** Longest `meta`, in bytes as JSON. */
export const MAX_METADATA_BYTES = 4_096;
/** Shortest ttl, in ms: the server takes none that is shorter. */
export const MIN_TTL_MS = 1_000;

const ttl = between(MIN_TTL_MS, MAX_TIMER_MS);
/** The ttl of an entry that stands for a waiter. After its process has died, the entry holds up other waiters for so long. */
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
