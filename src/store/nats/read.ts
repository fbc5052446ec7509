import { matcher } from '../pattern';
import type { Entry } from '../store';
import type { Message } from './connection';
import { RequestFailure } from './failure';
import type { Link } from './link';
import { type BucketNames, decode, encodeJson, messageToEntry, writeIdOf } from './wire';

/** The answer of a direct get of many keys. */
export interface Answer {
  readonly entries: readonly Entry[];
  /** Up to which sequence the answering server had applied the stream; undefined if it found nothing. */
  readonly upTo: number | undefined;
}

/** The last message of one key, and which write made it. */
export interface StoredWrite {
  readonly revision: number;
  readonly writeId: string;
}

/** The server refuses to give more than 1,024 entries in one answer. */
const KEYS_PER_ANSWER = 1_000;

/** The keys that exist according to the stream's leader. */
export interface LeaderView {
  readonly keys: ReadonlySet<string>;
  /** The last sequence of the view. It does not cover messages stored later. */
  readonly lastSequence: number;
}

/** Lists the existing keys. */
export interface KeyLister {
  /** All keys under the patterns. */
  leaderView(patterns: readonly string[]): Promise<LeaderView>;
}

/**
 * Removes entries that only the answering replica has. After a change of leader a replica may keep entries for good that have run
 * out on the new leader. Such entries are never announced again.
 */
export function withoutGhosts(entries: readonly Entry[], { keys, lastSequence }: LeaderView): Entry[] {
  return entries.filter(({ key, revision }) => revision > lastSequence || keys.has(key));
}

/**
 * The last entry of every key under the patterns, by one direct get (ADR-31). If the server finds too many for one
 * answer, the keys are read in several gets. Any replica may answer: the caller compares {@link Answer.upTo}.
 * @throws RequestFailure
 */
export async function readLast(
  link: Link,
  names: BucketNames,
  lister: KeyLister,
  patterns: readonly string[],
  timeout: number,
): Promise<Answer> {
  const answer = await directGet(link, names, patterns, timeout);
  if (answer !== 'too many') return answer;
  const keys = [...(await lister.leaderView(patterns)).keys];
  const entries: Entry[] = [];
  let upTo: number | undefined;
  for (let i = 0; i < keys.length; i += KEYS_PER_ANSWER) {
    const part = await directGet(link, names, keys.slice(i, i + KEYS_PER_ANSWER), timeout);
    if (part === 'too many')
      throw new RequestFailure('silent', 'the server gave fewer entries than were asked for');
    entries.push(...part.entries);
    if (part.upTo !== undefined) upTo = Math.min(upTo ?? part.upTo, part.upTo);
  }
  return { entries, upTo };
}

/** Whether the stream's leader finds nothing under a pattern. */
export async function leaderFindsNone(
  link: Link,
  names: BucketNames,
  pattern: string,
  timeout: number,
): Promise<boolean> {
  const query = { seq: 1, next_by_subj: names.subject(pattern) };
  return (await askLeader(link, names, query, timeout)) === undefined;
}

/**
 * Reads one key on the stream's leader. A replica could be behind and show the write before.
 * @throws RequestFailure
 */
export async function readStored(
  link: Link,
  names: BucketNames,
  key: string,
  timeout: number,
): Promise<StoredWrite | undefined> {
  const found = await askLeader(link, names, { last_by_subj: names.subject(key) }, timeout);
  if (found === undefined) return undefined;
  const head = found.hdrs === undefined ? '' : Buffer.from(found.hdrs, 'base64').toString('utf8');
  return { revision: found.seq, writeId: writeIdOf(head) };
}

interface StoredMessage {
  seq: number;
  hdrs?: string;
}

const MESSAGE_NOT_FOUND = 10037;

async function askLeader(
  link: Link,
  names: BucketNames,
  query: object,
  timeout: number,
): Promise<StoredMessage | undefined> {
  const reply = await link.request(names.apiMessageGet, encodeJson(query), { timeout });
  const answer = JSON.parse(decode(reply.data)) as {
    message?: StoredMessage;
    error?: { err_code?: number; description?: string };
  };
  if (answer.message !== undefined) return answer.message;
  if (answer.error?.err_code === MESSAGE_NOT_FOUND) return undefined;
  throw new RequestFailure(
    'absent',
    `the stream's leader answered: ${answer.error?.description ?? 'nothing'}`,
  );
}

async function directGet(
  link: Link,
  names: BucketNames,
  patterns: readonly string[],
  timeout: number,
): Promise<Answer | 'too many'> {
  const query = encodeJson({ multi_last: patterns.map((pattern) => names.subject(pattern)) });
  const entries: Entry[] = [];
  const asked = matcher(patterns);
  return link.collect(names.apiDirectGet, query, { timeout }, (message) => {
    const entry = messageToEntry(names, message, asked);
    if (entry !== undefined) {
      entries.push(entry);
      return undefined;
    }
    const end = endOf(message);
    if (end === undefined || end === 'too many') return end;
    checkRevisions(entries, end.upTo);
    return { entries, upTo: end.upTo };
  });
}

/** Refuses an entry newer than the stream's last sequence. If it were accepted, it would hide all later writes to its key. */
function checkRevisions(entries: readonly Entry[], upTo = Infinity): void {
  const beyond = entries.find(({ revision }) => revision > upTo);
  if (beyond === undefined) return;
  const { key, revision } = beyond;
  throw new RequestFailure(
    'silent',
    `the server gave revision ${revision} of ${key}, and ${upTo} as its last`,
  );
}

/** Reads the status message that ends an answer; undefined for an entry. */
function endOf(message: Message): { upTo: number | undefined } | 'too many' | undefined {
  switch (message.headers?.code ?? 0) {
    case 0:
      return undefined;
    case 204: {
      const upTo = Number(message.headers?.get('Nats-UpTo-Sequence') ?? '');
      return { upTo: upTo > 0 ? upTo : undefined };
    }
    case 404:
      return { upTo: undefined };
    case 413:
      return 'too many';
    case 503:
      throw new RequestFailure('absent', 'no server answers reads of the bucket');
    default:
      throw new RequestFailure('absent', `the server refused a read with status ${message.headers?.code}`);
  }
}
