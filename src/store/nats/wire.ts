import { headers, type MsgHdrs } from '@nats-io/nats-core';
import { MAX_TIMER_MS, parseTime } from '../../runtime/clock';
import { MAX_VALUE_LENGTH } from '../../protocol/decode';
import { MARKER_TTL_MS, type Entry, type Write, storedTtl } from '../store';
import { type Message, rawHeaders } from './connection';

/**
 * The format of entries on the wire. Header names: NATS ADR-4, ADR-8 (key-value), ADR-43 (TTL), ADR-50 (atomic batch) and
 * the server's stream documentation.
 */

/** Header with the id of the write that made a message, so that the outcome of an unanswered write can be found out. */
export const WRITE_ID_HEADER = 'Semaphore-Write';

export const WRONG_LAST_SEQUENCE = 10071;

/** Prefix of the JetStream API of a server's own domain and account. */
export const DEFAULT_API_PREFIX = '$JS.API';

/** Names of one bucket's stream and subjects. */
export class BucketNames {
  readonly stream: string;
  readonly apiDirectGet: string;
  readonly apiMessageGet: string;
  readonly apiInfo: string;
  readonly apiCreate: string;
  readonly apiStreamInfo: string;
  readonly deletedAdvisory: string;
  readonly updatedAdvisory: string;
  private readonly prefix: string;
  private readonly writePrefix: string;

  /** @param apiPrefix prefix of the subjects of the JetStream API */
  constructor(
    readonly bucket: string,
    readonly apiPrefix: string = DEFAULT_API_PREFIX,
  ) {
    this.stream = `KV_${bucket}`;
    this.prefix = `$KV.${bucket}.`;
    // As in all KV clients: the server maps the subject after the prefix of a domain, and an account maps the subjects it imports.
    this.writePrefix = apiPrefix === DEFAULT_API_PREFIX ? this.prefix : `${apiPrefix}.${this.prefix}`;
    this.apiInfo = `${apiPrefix}.INFO`;
    this.apiDirectGet = `${apiPrefix}.DIRECT.GET.${this.stream}`;
    this.apiMessageGet = `${apiPrefix}.STREAM.MSG.GET.${this.stream}`;
    this.apiCreate = `${apiPrefix}.STREAM.CREATE.${this.stream}`;
    this.apiStreamInfo = `${apiPrefix}.STREAM.INFO.${this.stream}`;
    this.deletedAdvisory = `$JS.EVENT.ADVISORY.STREAM.DELETED.${this.stream}`;
    this.updatedAdvisory = `$JS.EVENT.ADVISORY.STREAM.UPDATED.${this.stream}`;
  }

  /** The subject under which a key, or a pattern of keys, is stored. */
  subject(key: string): string {
    return this.prefix + key;
  }

  /** The subject to which a write to a key is published. */
  writeSubject(key: string): string {
    return this.writePrefix + key;
  }

  /** The key that is stored under a subject; undefined if the subject does not belong to the bucket. */
  keyOf(subject: string): string | undefined {
    return subject.startsWith(this.prefix) ? subject.slice(this.prefix.length) : undefined;
  }
}

/** Headers of a conditional write. */
export function writeHeaders(names: BucketNames, write: Write, id: string): MsgHdrs {
  const h = headers();
  h.set('Nats-Expected-Last-Subject-Sequence', String(write.expected));
  if (write.expectedOf !== undefined)
    h.set('Nats-Expected-Last-Subject-Sequence-Subject', names.subject(write.expectedOf));
  h.set(WRITE_ID_HEADER, id);
  if (write.value === null) {
    // Only this kind of marker expires without a trace: by exact sequence, and without a second marker that would
    // destroy a claim written over it (measured: 0 of 16,000 claims; a DEL marker destroyed up to a third).
    h.set('KV-Operation', 'PURGE');
  }
  if (write.ttl !== undefined) h.set(TTL_HEADER, ttlHeader(write.ttl));
  return h;
}

const TTL_HEADER = 'Nats-TTL';

/** The server truncates TTLs to whole seconds. This rounds up, so that a hold never ends before its holder expects. */
function ttlHeader(ms: number): string {
  return `${Math.max(MARKER_TTL_MS, storedTtl(ms)) / 1_000}s`;
}

/** The ttl in a header, in ms; undefined if it is not one that this protocol writes. */
function ttlOf(header: string): number | undefined {
  const ms = Number(/^(\d{1,12})s$/.exec(header)?.[1]) * 1_000;
  return ms > 0 && ms <= storedTtl(MAX_TIMER_MS) ? ms : undefined;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** Decodes values. It refuses text that is not UTF-8, and keeps a byte order mark, which is not valid JSON. */
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export const encode = (text: string): Uint8Array => encoder.encode(text);
export const decode = (data: Uint8Array): string => decoder.decode(data);
export const encodeJson = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value));

/**
 * Headers that decide what an entry is. A stored message has the publisher's headers first and the server's own after them. So the
 * last of several values is the server's, and a message with several values is not a valid entry of the protocol.
 */
const COUNTED = new Set([
  'KV-Operation',
  'Nats-Last-Sequence',
  'Nats-Marker-Reason',
  'Nats-Num-Pending',
  'Nats-Rollup',
  'Nats-Sequence',
  'Nats-Stream',
  'Nats-Subject',
  TTL_HEADER,
  'Nats-Time-Stamp',
  'Nats-UpTo-Sequence',
  WRITE_ID_HEADER,
]);

/** The headers of a stored message that count, and why they are not valid headers of an entry, if so. */
class StoredHeaders {
  private readonly values = new Map<string, string>();
  fault: string | undefined;

  constructor(message: Message) {
    for (const [name, values] of this.all(message)) {
      if (!COUNTED.has(name)) continue;
      if (values.length > 1 || this.values.has(name))
        this.fault ??= `its message has more than one value of the header ${name}`;
      this.values.set(name, values.at(-1) ?? '');
    }
  }

  get(name: string): string {
    return this.values.get(name) ?? '';
  }

  private all(message: Message): Iterable<readonly [string, readonly string[]]> {
    try {
      return message.headers ?? [];
    } catch {
      // The clients refuse headers that the server has accepted. The headers that the server added are still needed.
      this.fault = 'the headers of its message can not be read';
      return rawHeaders(message);
    }
  }
}

/**
 * The entry in a republished message or in a direct get's answer; undefined if there is none.
 * @param concerns whether a key was asked for; for an announcement, whether the key is the one in its subject
 */
export function messageToEntry(
  names: BucketNames,
  message: Message,
  concerns: (key: string) => boolean,
): Entry | undefined {
  const headers = new StoredHeaders(message);
  const key = names.keyOf(headers.get('Nats-Subject'));
  const revision = Number(headers.get('Nats-Sequence'));
  if (key === undefined || !concerns(key) || !Number.isSafeInteger(revision) || revision <= 0)
    return undefined;
  return { key, revision, ...contentOf(headers, message.data) };
}

function contentOf(headers: StoredHeaders, body: Uint8Array): Omit<Entry, 'key' | 'revision'> {
  const writtenAt = parseTime(headers.get('Nats-Time-Stamp'));
  const ttl = ttlOf(headers.get(TTL_HEADER));
  const broken = (fault: string): Omit<Entry, 'key' | 'revision'> => ({
    ...{ value: '', fault, ttl, writtenAt: Number.isFinite(writtenAt) ? writtenAt : 0 },
  });
  if (headers.fault !== undefined) return broken(headers.fault);
  if (!Number.isFinite(writtenAt)) return broken('its message has no time stamp');
  const removed = headers.get('KV-Operation') !== '' || headers.get('Nats-Marker-Reason') !== '';
  if (removed) return { value: null, ttl, writtenAt };
  if (body.length > MAX_VALUE_LENGTH) return broken(`it is longer than ${MAX_VALUE_LENGTH} bytes`);
  try {
    return { value: strictDecoder.decode(body), ttl, writtenAt };
  } catch {
    return broken('it is not UTF-8');
  }
}

/**
 * Id of the write that made a message. The leader gives the headers as stored, without the server's own. '' if there is no usable
 * id.
 */
export function writeIdOf(head: string): string {
  const ids = [...head.matchAll(new RegExp(`^${WRITE_ID_HEADER}:(.*?)\\r?$`, 'gm'))];
  return ids.length === 1 ? (ids[0]?.[1]?.trim() ?? '') : '';
}
