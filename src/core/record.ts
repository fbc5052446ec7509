import { LAST_USE } from './token';

/**
 * The values in the bucket: JSON that a person can read, with a version. What does not decode is never repaired, never
 * overwritten and never taken for free. `docs/protocol.md` describes them for other clients.
 */

export const FORMAT_VERSION = 1;

/** Most slots that a primitive can have. Looking at all of them must stay cheap. */
export const MOST_SLOTS = 10_000;

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
  /** For how long its process keeps the slot after a release, in ms: others who wait should say so, by a wish. */
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

/** Value of a wish: somebody waits, so what is kept should be given back. Only that it is there counts. */
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

export type Decoded<T> =
  { readonly ok: true; readonly record: T } | { readonly ok: false; readonly reason: string };

export function encodeRecord(record: object): string {
  return JSON.stringify({ v: FORMAT_VERSION, ...record });
}

export function decodeHold(value: string): Decoded<Hold> {
  return decodeVersioned(value, (fields) => {
    const wrong = commonFault(fields);
    if (wrong !== undefined) return wrong;
    const { permit, ticket, after, use, retain, kept, given } = fields;
    if (typeof permit !== 'string' || permit === '') return 'permit is not a non-empty string';
    if (ticket !== undefined && typeof ticket !== 'string') return 'ticket is not a string';
    if (after !== undefined && typeof after !== 'string') return 'after is not a string';
    if (use !== undefined && !(isWhole(use) && use >= 0 && use <= LAST_USE))
      return 'use is not a whole number in range';
    if (retain !== undefined && typeof retain !== 'number') return 'retain is not a number';
    if (kept !== undefined && typeof kept !== 'boolean') return 'kept is not true or false';
    if (given !== undefined && !isWhole(given)) return 'given is not a whole number';
    return fields as unknown as Hold;
  });
}

export function decodeTicket(value: string): Decoded<Ticket> {
  return decodeVersioned(value, (fields) => {
    const wrong = commonFault(fields);
    if (wrong !== undefined) return wrong;
    if (!isWhole(fields.count) || fields.count < 1) return 'count is not a whole number above 0';
    if (![undefined, 'read', 'write'].includes(fields.mode as undefined))
      return 'mode is not "read" or "write"';
    if (fields.holdTtl !== undefined && typeof fields.holdTtl !== 'number') return 'holdTtl is not a number';
    return fields as unknown as Ticket;
  });
}

export function decodeLimit(value: string): Decoded<Limit> {
  return decodeVersioned<Limit>(value, ({ slots, forgetAfter }) => {
    if (!isWhole(slots) || slots < 1 || slots > MOST_SLOTS)
      return `slots is not a whole number from 1 to ${MOST_SLOTS}`;
    if (forgetAfter !== undefined && !(isWhole(forgetAfter) && forgetAfter >= 1_000))
      return 'forgetAfter is not a whole number from 1,000';
    return forgetAfter === undefined ? { slots } : { slots, forgetAfter };
  });
}

export function decodeRemovalNotice(value: string): Decoded<RemovalNotice> {
  return decodeVersioned(value, (fields) => {
    const wrong = commonFault(fields);
    if (wrong !== undefined) return wrong;
    if (typeof fields.force !== 'boolean') return 'force is not true or false';
    return fields as unknown as RemovalNotice;
  });
}

/** What is wrong with the fields that holds and tickets share. */
function commonFault({ holder, since, ttl, token, meta }: Record<string, unknown>): string | undefined {
  if (typeof holder !== 'string') return 'holder is not a string';
  if (typeof since !== 'string') return 'since is not a string';
  if (typeof ttl !== 'number' || !(ttl > 0)) return 'ttl is not a positive number';
  if (token !== undefined && !isWhole(token)) return 'token is not a whole number';
  if (meta !== undefined && !isStringMap(meta)) return 'meta is not an object of strings';
  return undefined;
}

/** Parses a value and checks its version; `read` gives the record, or says in words what is wrong with it. */
export function decodeVersioned<T extends object>(
  value: string,
  read: (fields: Record<string, unknown>) => T | string,
): Decoded<T> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    return { ok: false, reason: 'it is not JSON' };
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    return { ok: false, reason: 'it is not a JSON object' };
  }
  const { v, ...fields } = parsed as Record<string, unknown>;
  if (v !== FORMAT_VERSION) {
    return {
      ok: false,
      reason: `its format version is ${JSON.stringify(v)}, this package reads ${FORMAT_VERSION}`,
    };
  }
  const record = read(fields);
  return typeof record === 'string' ? { ok: false, reason: record } : { ok: true, record };
}

export function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function isStringMap(value: unknown): value is Record<string, string> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((item) => typeof item === 'string')
  );
}
