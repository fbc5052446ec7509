import type { StreamConfig } from '@nats-io/jetstream';
import { MARKER_TTL_MS } from '../store';
import { isDestination, newDestination } from './announcements';
import type { BucketNames } from './wire';

const NANOS_PER_MS = 1_000_000;

/**
 * Most bytes of a message, headers included, in a bucket that we create. Our messages have at most some 11,000: a holder of 1,024
 * bytes, six times that if every character has to be escaped, metadata of 4,096, and the fields around them.
 */
export const MAX_MESSAGE_BYTES = 16_384;

/** Highest first sequence of a bucket. Revisions must stay below 2^53: this leaves room for more than 8 * 10^12 writes. */
const MAX_FIRST_SEQUENCE = 2 ** 53 - 2 ** 43;

/** How to create a bucket that does not exist. */
export interface BucketOptions {
  storage?: 'file' | 'memory';
  replicas?: number;
  placement?: { cluster?: string; tags?: string[] };
  maxBytes?: number;
  allowBucketUpdate?: boolean;
}

/** A bucket, and the options that its user has set. */
interface Wanted {
  readonly names: BucketNames;
  readonly options: BucketOptions;
}

/** A requirement of this library on one setting of a stream. */
interface Rule {
  readonly setting: keyof StreamConfig;
  readonly needs: (wanted: Wanted) => string;
  readonly because: string;
  readonly broken: (config: StreamConfig, wanted: Wanted) => boolean;
  /** Returns the changes that correct the setting in place. Undefined: it can not be corrected in place. */
  readonly mend?: (config: StreamConfig, wanted: Wanted) => Partial<StreamConfig> | undefined;
}

/** A setting with which an existing stream can not be used. */
export interface Misfit {
  /** The setting, its value, what is needed and why. */
  readonly text: string;
  /** The changes that correct the setting in place. Undefined: it can not be corrected in place. */
  readonly mend: Partial<StreamConfig> | undefined;
}

const exactly = (value: string) => () => value;
const mendWith = (change: Partial<StreamConfig>) => () => change;

/** One rule for each setting that can break a promise; docs/protocol.md section 1 has the same table, with all settings. */
const RULES: readonly Rule[] = [
  {
    setting: 'subjects',
    needs: ({ names }) => show([names.subject('>')]),
    because: 'other subjects are no keys of the bucket, and keys that are missing can not be written',
    broken: ({ subjects }, { names }) => subjects?.length !== 1 || subjects[0] !== names.subject('>'),
    mend: (_, { names }) => ({ subjects: [names.subject('>')] }),
  },
  {
    setting: 'retention',
    needs: exactly('"limits"'),
    because: 'entries are removed at once, or when a consumer has acknowledged them, and holds with them',
    broken: ({ retention }) => (retention as string) !== 'limits',
    // The server refuses to change "workqueue".
    mend: ({ retention }) =>
      (retention as string) === 'interest' ? { retention: 'limits' as StreamConfig['retention'] } : undefined,
  },
  {
    setting: 'no_ack',
    needs: exactly('false'),
    because: 'writes are not answered, so nothing can be known to be held',
    broken: ({ no_ack }) => no_ack === true,
    mend: mendWith({ no_ack: false }),
  },
  {
    setting: 'subject_transform',
    needs: exactly('none'),
    because: 'a write is stored under another key than the one it names and checks',
    broken: ({ subject_transform }) => subject_transform !== undefined,
    mend: mendWith({ subject_transform: undefined }),
  },
  {
    setting: 'mirror',
    needs: exactly('none'),
    because: 'a copy of another stream takes no writes, and is behind what it copies',
    broken: ({ mirror }) => mirror !== undefined,
  },
  {
    setting: 'sources',
    needs: exactly('none'),
    because: 'entries of another stream are written over holds without any condition',
    broken: ({ sources }) => (sources?.length ?? 0) > 0,
    mend: mendWith({ sources: undefined }),
  },
  {
    setting: 'sealed',
    needs: exactly('false'),
    because: 'nothing can be written',
    broken: ({ sealed }) => sealed === true,
  },
  {
    setting: 'max_msgs_per_subject',
    needs: exactly('1'),
    because: 'an expired hold would uncover an older one',
    broken: ({ max_msgs_per_subject }) => max_msgs_per_subject !== 1,
    mend: mendWith({ max_msgs_per_subject: 1 }),
  },
  {
    setting: 'discard_new_per_subject',
    needs: exactly('false'),
    because: 'a key that is there can not be written again, so that no hold is renewed or released',
    broken: ({ discard_new_per_subject }) => discard_new_per_subject === true,
    mend: mendWith({ discard_new_per_subject: false }),
  },
  {
    setting: 'discard',
    needs: exactly('"new", as max_msgs or max_bytes is set'),
    because: 'old keys are dropped when it is full, and holds with them',
    broken: ({ discard, max_msgs, max_bytes }) =>
      (max_msgs > 0 || max_bytes > 0) && (discard as string) !== 'new',
    mend: mendWith({ discard: 'new' }),
  },
  {
    setting: 'max_age',
    needs: exactly('0'),
    because: 'every key is removed after that many nanoseconds, holds and limits too',
    broken: ({ max_age }) => max_age > 0,
    mend: mendWith({ max_age: 0 }),
  },
  {
    setting: 'max_msg_size',
    needs: exactly(`-1, or at least ${MAX_MESSAGE_BYTES}`),
    because: 'longer entries would be refused',
    broken: ({ max_msg_size }) => max_msg_size > 0 && max_msg_size < MAX_MESSAGE_BYTES,
    mend: mendWith({ max_msg_size: MAX_MESSAGE_BYTES }),
  },
  {
    setting: 'storage',
    needs: exactly('"file", or several replicas, or storage: "memory" to accept it'),
    because: 'it is kept in the memory of one server, which forgets all holders when it restarts',
    broken: (config, { options }) => isForgetful(config) && options.storage !== 'memory',
  },
  {
    setting: 'persist_mode',
    needs: exactly('"default"'),
    because: 'writes are answered before they are stored, and a server that is killed takes them back',
    broken: ({ persist_mode }) => (persist_mode ?? 'default') === 'async',
  },
  {
    setting: 'allow_direct',
    needs: exactly('true'),
    because: 'reads are direct gets',
    broken: ({ allow_direct }) => allow_direct !== true,
    mend: mendWith({ allow_direct: true }),
  },
  {
    setting: 'allow_msg_ttl',
    needs: exactly('true'),
    because: 'without per-key TTL a crashed holder would hold for ever',
    broken: ({ allow_msg_ttl }) => allow_msg_ttl !== true,
    mend: mendWith({ allow_msg_ttl: true }),
  },
  {
    setting: 'subject_delete_marker_ttl',
    needs: exactly('1000000000'),
    because: 'without a marker waiters would not hear that a key has expired',
    broken: ({ subject_delete_marker_ttl }) => (subject_delete_marker_ttl ?? 0) === 0,
    mend: mendWith({ subject_delete_marker_ttl: MARKER_TTL_MS * NANOS_PER_MS }),
  },
  {
    setting: 'deny_purge',
    needs: exactly('false'),
    because: 'the marker of an expired key replaces what was there',
    broken: ({ deny_purge }) => deny_purge === true,
  },
  {
    setting: 'allow_rollup_hdrs',
    needs: exactly('true'),
    because: 'the marker of an expired key replaces what was there',
    broken: ({ allow_rollup_hdrs }) => allow_rollup_hdrs !== true,
    mend: mendWith({ allow_rollup_hdrs: true }),
  },
  {
    setting: 'allow_msg_counter',
    needs: exactly('false'),
    because: 'the server takes counters only, no holds',
    broken: ({ allow_msg_counter }) => allow_msg_counter === true,
  },
  {
    setting: 'allow_msg_schedules',
    needs: exactly('false'),
    because: 'a scheduled message is written over any key, without condition and past the rights of its user',
    broken: ({ allow_msg_schedules }) => allow_msg_schedules === true,
  },
  {
    setting: 'republish',
    needs: ({ names }) =>
      `src ${show(names.subject('>'))}, dest "$SEMAPHORE.${names.bucket}.<token>.>" with a token that only this stream has, and the body`,
    because: 'changes would not be heard, or not told from those of another bucket of that name',
    broken: ({ republish }, { names }) =>
      republish?.src !== names.subject('>') ||
      !isDestination(republish.dest, names.bucket) ||
      republish.headers_only === true,
    mend: (_, { names }) => ({ republish: announced(names) }),
  },
  {
    setting: 'first_seq',
    needs: exactly(`at most ${MAX_FIRST_SEQUENCE}`),
    because: 'revisions must stay below 2^53',
    broken: ({ first_seq }) => (first_seq ?? 0) > MAX_FIRST_SEQUENCE,
  },
];

/** The settings of a stream with which this library can not keep its guarantees. */
export function misfitsOf(config: StreamConfig, names: BucketNames, options: BucketOptions): Misfit[] {
  const wanted: Wanted = { names, options };
  return RULES.filter(({ broken }) => broken(config, wanted)).map((rule) => ({
    text: `${rule.setting} is ${show(config[rule.setting])}, needed: ${rule.needs(wanted)} (${rule.because})`,
    mend: rule.mend?.(config, wanted),
  }));
}

/**
 * The settings of a new KV bucket as in ADR-8, whose keys any KV client can read. It has per-key TTL, leaves a marker when a key
 * expires, and announces every change to plain subscribers, which leave nothing on the server when they disconnect.
 * @param firstSequence the first revision
 */
export function newStream(
  names: BucketNames,
  options: BucketOptions,
  firstSequence: number,
  atomic: boolean,
): Partial<StreamConfig> & { name: string } {
  const { maxBytes, placement, replicas = 1, storage = 'file' } = options;
  return {
    name: names.stream,
    subjects: [names.subject('>')],
    storage: storage,
    num_replicas: replicas,
    ...(placement !== undefined && { placement: placement as StreamConfig['placement'] }),
    ...(maxBytes !== undefined && { max_bytes: maxBytes }),
    max_msgs_per_subject: 1,
    max_msg_size: MAX_MESSAGE_BYTES,
    discard: 'new',
    max_age: 0,
    allow_direct: true,
    allow_rollup_hdrs: true,
    deny_delete: true,
    allow_msg_ttl: true,
    subject_delete_marker_ttl: MARKER_TTL_MS * NANOS_PER_MS,
    republish: announced(names),
    ...(atomic && { allow_atomic: true }),
    first_seq: firstSequence,
  };
}

/** Whether a restart of one server loses all entries of the stream. */
export function isForgetful(config: StreamConfig): boolean {
  return config.num_replicas === 1 && (config.storage as string) === 'memory';
}

function announced(names: BucketNames): { src: string; dest: string } {
  return { src: names.subject('>'), dest: newDestination(names.bucket) };
}

function show(value: unknown): string {
  return value === undefined ? 'not set' : JSON.stringify(value);
}
