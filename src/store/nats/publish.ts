import { newId } from '../../runtime/id';
import type { Write } from '../store';
import type { Message } from './connection';
import { RequestFailure, failureKind, type FailureKind } from './failure';
import type { Link } from './link';
import { type BucketNames, WRONG_LAST_SEQUENCE, decode, encode, writeHeaders } from './wire';

/** Outcome of sending a set of writes once. */
export type Attempt =
  | { readonly outcome: 'stored'; readonly revisions: readonly number[] }
  /** An expected revision was not the last. `actual`: the last revision according to the server. */
  | { readonly outcome: 'conflict'; readonly actual?: number }
  /** Not stored, for a reason that passes within milliseconds. */
  | { readonly outcome: 'busy' }
  /** Not stored, since there is no room. There may be room later. */
  | { readonly outcome: 'full'; readonly reason: string }
  /** Not stored, and never will be. */
  | { readonly outcome: 'refused'; readonly reason: string; readonly code: number }
  | { readonly outcome: 'unanswered'; readonly kind: FailureKind; readonly error: unknown };

/**
 * Error codes after which nothing was stored, and a retry may succeed. 10164: another write to the subject is pending; 10158: the
 * same with a duplicate in flight; 10176 and 10201: the batch arrived incomplete or twice; 10210: too many batches open.
 */
const BUSY = new Set([10158, 10164, 10176, 10201, 10210]);

/**
 * Error codes of a server without room. 10002 and 10023: the account, or the server, is at its limits; 10028 and 10047: no memory,
 * or no room on the disk; 10077: the stream is at its own limit, or its disk is full.
 */
const FULL = new Set([10002, 10023, 10028, 10047, 10077]);

const NO_DATA = new Uint8Array(0);

interface PubAck {
  seq?: number;
  count?: number;
  error?: { err_code?: number; description?: string };
}

/** Sends the writes once, several as one atomic batch (ADR-50), and reads the answer. Never throws. */
export async function publishOnce(
  link: Link,
  names: BucketNames,
  writes: readonly Write[],
  id: string,
  timeout: number,
): Promise<Attempt> {
  try {
    if (writes.length > 1) return await publishBatch(link, names, writes, id, timeout);
    return readAck(await send(link, names, writes, id, timeout), writes.length);
  } catch (error) {
    const kind = failureKind(error);
    if (kind !== undefined) return { outcome: 'unanswered', kind, error };
    return { outcome: 'refused', code: 0, reason: error instanceof Error ? error.message : String(error) };
  }
}

/** Sends a batch. Only its last message is answered: the denial of another message is reported apart from the answer. */
async function publishBatch(
  link: Link,
  names: BucketNames,
  writes: readonly Write[],
  id: string,
  timeout: number,
): Promise<Attempt> {
  const subjects = new Set(writes.map(({ key }) => names.writeSubject(key)));
  let denial: string | undefined;
  const stop = link.onDenied(({ operation, subject, message }) => {
    if (operation === 'publish' && subjects.has(subject)) denial = message;
  });
  try {
    const attempt = readAck(await send(link, names, writes, id, timeout), writes.length);
    if (attempt.outcome === 'busy' && denial !== undefined) throw new RequestFailure('denied', denial);
    return attempt;
  } finally {
    stop();
  }
}

function send(
  link: Link,
  names: BucketNames,
  writes: readonly Write[],
  id: string,
  timeout: number,
): Promise<Message> {
  const batch = writes.length > 1 ? newId() : undefined;
  const last = writes.length - 1;
  for (const [i, write] of writes.entries()) {
    const headers = writeHeaders(names, write, id);
    if (batch !== undefined) {
      headers.set('Nats-Batch-Id', batch);
      headers.set('Nats-Batch-Sequence', String(i + 1));
      if (i === last) headers.set('Nats-Batch-Commit', '1');
    }
    const payload = write.value === null ? NO_DATA : encode(write.value);
    const subject = names.writeSubject(write.key);
    if (i === last) return link.request(subject, payload, { timeout, headers });
    link.connection.publish(subject, payload, { headers });
  }
  throw new RangeError('there must be at least one write');
}

function readAck(message: Message, count: number): Attempt {
  if (message.data.length === 0 && message.headers?.code === 503) {
    throw new RequestFailure('absent', 'no stream takes the write');
  }
  const ack = JSON.parse(decode(message.data)) as PubAck;
  if (ack.error === undefined) {
    const seq = ack.seq ?? 0;
    if (!Number.isSafeInteger(seq) || seq < 1 || (count > 1 && ack.count !== count)) {
      return {
        outcome: 'refused',
        code: 0,
        reason: `unexpected answer of the server: ${decode(message.data)}`,
      };
    }
    return { outcome: 'stored', revisions: Array.from({ length: count }, (_, i) => seq - count + 1 + i) };
  }
  const code = ack.error.err_code ?? 0;
  const reason = ack.error.description ?? 'no reason given';
  if (code === WRONG_LAST_SEQUENCE) {
    // In a batch the server does not say which subject conflicts.
    const actual = count === 1 ? /: (\d+)$/.exec(reason)?.[1] : undefined;
    return { outcome: 'conflict', ...(actual === undefined ? {} : { actual: Number(actual) }) };
  }
  if (FULL.has(code)) return { outcome: 'full', reason };
  return BUSY.has(code) ? { outcome: 'busy' } : { outcome: 'refused', reason, code };
}
