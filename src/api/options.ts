import type { ConnectionOptions } from '../store/nats/connect';
import { MAX_TIMER_MS } from '../runtime/clock';
import { ACQUIRE, WATCH } from './known-options';
import { type OptionKeys, checkKeys } from './option-keys';
import { safetyMargin } from '../lease/lease';
import { LEAST_TTL_MS, MOST_HOLDER_BYTES, MOST_METADATA_BYTES, MOST_SLOTS } from '../protocol/records';
import { MAX_MESSAGE_BYTES } from '../store/nats/stream-settings';
import { MOST_AT_ONCE } from '../store/store';
import type { LimitPolicy } from '../acquire/waiter';

export type { LimitPolicy };

/** Settings of a dispatcher. All are optional. */
export interface DispatcherOptions {
  /** Name of the KV bucket. It is created if it does not exist. Default `"SEMAPHORES"`. */
  bucket?: string;
  /**
   * Where a bucket that has to be created keeps its entries. Default `"file"`. `"memory"` with one replica forgets all
   * holders when the server restarts; an existing bucket of that kind is refused unless `"memory"` is given here.
   */
  storage?: 'file' | 'memory';
  /** Copies kept of a bucket that has to be created: 1, 3 or 5. Default 1. With 3, one server may fail. */
  replicas?: number;
  /** Where in a cluster a bucket that has to be created is placed. Default: anywhere. */
  placement?: { cluster?: string; tags?: string[] };
  /**
   * Most bytes that a bucket that has to be created may take: 16,384 or more. Default: no bound of its own. Some accounts require
   * one. A held slot takes some 300 bytes; a bucket that is full refuses new holds.
   */
  maxBytes?: number;
  /**
   * JetStream domain in which the bucket is. Default: that of the server to which the client is connected. With it a client at a
   * leaf node uses the bucket of the hub. Not together with {@link DispatcherOptions.apiPrefix}.
   */
  domain?: string;
  /**
   * What the subjects of the JetStream API begin with, where this account imports them from another account. Default
   * `"$JS.API"`. Writes then go to `<apiPrefix>.$KV.<bucket>.<key>`, as those of other KV clients do. Not together with
   * {@link DispatcherOptions.domain}.
   */
  apiPrefix?: string;
  /** Who this process is, in status views. Default `host:pid`. */
  holder?: string;
  /** Default for {@link SemaphoreOptions.ttl}. */
  ttl?: number;
  /**
   * How long before the end of its lease a permit is declared lost, in ms. Covers clock skew between the servers of a
   * cluster, and late timers. Default 5 % of the ttl, at least 100. More loses permits sooner in an outage; less than
   * the servers' skew makes the promise of mutual exclusion hollow.
   */
  safetyMargin?: number;
  /** Default for {@link SemaphoreOptions.fair}. */
  fair?: boolean;
  /** Default for {@link SemaphoreOptions.retain}, also of mutexes. Read-write locks keep nothing. */
  retain?: number;
  /**
   * What becomes of an acquire while the server is out of reach. `"reject"` (default): it waits, and fails with a
   * {@link BackendUnavailableError} when its timeout ends. `"local"`: permits of semaphores and mutexes are then granted within
   * this process, by the same limits. **That gives up mutual exclusion between processes**: of N slots each process may grant
   * N, beside those held on the server.
   *
   * It begins, with the event `degraded`, when somebody has waited for 3 s with the server out of reach, or would have been
   * refused for that reason; and ends, with `restored`, as soon as the server answers. Then those who wait locally move over. If the
   * connection is closed for good, it begins at once and lasts until the dispatcher is closed.
   * Local permits run on to their end, so at that moment N local ones of each process may be held beside N of the server's.
   * Their fencing tokens are lower than any of the server's: a resource that has seen one of those refuses them.
   *
   * The limit is the last one known, or the one in the code. `status` and whatever else looks at the server fails as
   * otherwise; `acquireAll` and latches know no local side.
   */
  onUnavailable?: 'reject' | 'local';
  /** Whether an existing bucket whose settings do not fit may be changed in place. Default false: it is an error. */
  allowBucketUpdate?: boolean;
}

/** Settings for {@link NatsDispatcher.connect}: those of the dispatcher, and those of the NATS client (3.x). */
export type ConnectOptions = DispatcherOptions &
  Omit<ConnectionOptions, 'servers'> & {
    /**
     * URLs of servers, in an array or with commas between: `host`, `host:port`, `nats://host:port`, or `tls://host:port`, which
     * refuses a server without TLS. `user:password@` or `token@` before the host is the login, unless another is given as an option;
     * percent-encoded, and the same in all URLs that have one. Default, also where they are blank: the environment variable
     * `NATS_URL`, else `localhost:4222`.
     */
    servers?: string | string[];
  };

/** Settings of a semaphore. */
export interface SemaphoreOptions {
  /**
   * How long a hold survives without renewal, in ms: 1,000 or more. Default 30,000. It is how long the slot of a crashed
   * holder stays taken; a shorter one is renewed more often (after a third of it, or little more) and survives shorter outages. The
   * server counts whole seconds: it keeps the slot for the ttl rounded up.
   */
  ttl?: number;
  /**
   * Whether permits are granted in the order in which they were asked for, across all processes. Default false: processes
   * are served in no order, each in its own. Fair costs two more writes an acquire, and a process that dies while it is
   * first in the queue holds it up for 11 s at most. `tryAcquire` without a timeout never queues: it takes what is free.
   */
  fair?: boolean;
  /**
   * For how long the process keeps a slot after its release, in ms, so that its own next acquire asks nobody: some microseconds
   * instead of two round trips. Default 0: not at all. Good for one process that takes the same lock again and again; where
   * several take turns it costs them writes.
   *
   * A slot is kept only while nobody else is known to wait, never past its lease, and given back as soon as another process does:
   * that process has it one hand-over later. Whoever waits, a process gives the slot back when it has had it for `retain` ms:
   * so long a waiter waits whose client writes no demand notice, or whose notice was lost. What does not wait, a `tryAcquire` without a timeout, may find a slot of
   * another process taken though nobody holds it. With `fair`, whoever asks in the process that keeps the slot may come before
   * one elsewhere of whom it has not heard yet; a lowered limit holds for kept slots, too, once the process has heard of it.
   *
   * Of permits for several slots nothing is kept, and neither they nor those without `autoRenew` are granted from what is. A
   * process that ends without `close` leaves what it kept taken until its ttl ends.
   */
  retain?: number;
  /**
   * What to do when the number of slots in the code differs from the one stored with the semaphore, when it is first
   * used: `"error"` (default) rejects with a {@link LimitConflictError}, `"adopt"` goes by the stored one, `"set"` stores
   * the one in the code. Changes made later by `setPermits` or `addPermits` are followed, whatever the policy.
   */
  limitPolicy?: LimitPolicy;
  /**
   * The stored limit goes when the semaphore was not used by any process for that long, in ms: a whole number, 1,000 or more. Default: it
   * stays. For names that are made from data, such as one for each customer. Stored with the limit by whoever stores that first, and kept
   * by all others. While a permit is held or waited for, the limit is stored anew after a third of that time, which is one write more;
   * so is the first use by each process. A limit set by `setPermits` goes too, and the next use stores the number in the code.
   */
  forgetAfter?: number;
}

/** Settings of a mutex. */
export interface MutexOptions extends Pick<SemaphoreOptions, 'ttl' | 'fair' | 'retain'> {
  /**
   * Whether code that holds the mutex may lock it again. Default false: that waits for itself. The mutex is released when each
   * lock of it was. Who holds it is told by the asynchronous context (`AsyncLocalStorage`), on this dispatcher, by all
   * handles of that name which say `reentrant`:
   * - `lock(timeout, work)` lets in what `work` calls, and only that: two functions that `work` runs side by side both get in.
   * - `lock()`, `acquire()` and `tryAcquire()` let in what comes after them in the calling function. That includes the caller
   *   of an async function that locks before its first `await`, also if it does not await it: start such tasks with the form
   *   above, or they may let each other in.
   *
   * Locking again never waits and ignores `ttl`, `autoRenew` and `metadata`; the permit has the `id`, `fencingToken` and
   * `signal` of the first. Once a hold was lost, locking acquires anew. `acquireAll` never takes part.
   */
  reentrant?: boolean;
}

/** Settings of one wait for a latch. */
export interface LatchWaitOptions {
  /** How long to wait, in ms. 0: only look. Default: for ever. */
  timeout?: number;
  /** Ends the wait: it rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Settings of a read-write lock. */
export interface ReadWriteLockOptions {
  /** As {@link SemaphoreOptions.ttl}, for those who read and those who write. Default 30,000. */
  ttl?: number;
  /**
   * Whether it is granted in the order in which it was asked for, across all processes: who waits to write holds back those
   * who ask to read after it, and those who then wait to read are let in together. Neither side can starve the other.
   * Default false: whoever comes first when it is free; one who waits to write has precedence over new readers.
   */
  fair?: boolean;
}

/** Settings of one acquire. */
export interface LockOptions {
  /** How long to wait, in ms. 0: take what is free now, do not wait. Default: for ever. */
  timeout?: number;
  /** Ends the wait: the acquire rejects with the signal's reason. A permit won in the same instant is given back. */
  signal?: AbortSignal;
  /** Default: that of the primitive. */
  ttl?: number;
  /** Whether the permit is renewed by itself until it is released. Default true. */
  autoRenew?: boolean;
  /** Shown in status views. At most 4,096 bytes as JSON. */
  metadata?: Record<string, string>;
}

/** Settings of one acquire of a semaphore. */
export interface AcquireOptions extends LockOptions {
  /** How many slots to take together, all or none: 1 to 1,000. Default 1. More than one needs nats-server 2.12. */
  count?: number;
}

export const DEFAULT_TTL_MS = 30_000;
const MOST_COUNT = 1_000_000_000;
const MAX_PREFIX_BYTES = 256;

/** `lock(5_000)` and `lock({ timeout: 5_000 })` mean the same. */
export function toAcquireOptions<Options extends LockOptions>(
  options: number | Options | undefined,
  keys: OptionKeys = ACQUIRE,
): Options {
  if (options === undefined) return {} as Options;
  if (typeof options === 'number') return checkKeys({ timeout: options } as Options, keys);
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`options must be a number of ms or an object, got ${show(options)}`);
  }
  return checkKeys(options, keys);
}

export function checkSlots(slots: unknown): number {
  return wholeNumber('slots', slots, 1, MOST_SLOTS);
}

/** @param most and what that is */
export function checkCount(count: unknown, most = MOST_AT_ONCE, what?: string): number {
  return wholeNumber('count', count, 1, most, what);
}

/** What a latch counts down from, or by. */
export function checkTotal(count: unknown): number {
  return wholeNumber('count', count, 1, MOST_COUNT);
}

export function checkDelta(delta: unknown): number {
  return wholeNumber('delta', delta, -MOST_SLOTS, MOST_SLOTS);
}

export function checkPermitId(permitId: unknown): string {
  if (typeof permitId !== 'string' || permitId === '') {
    throw new TypeError(`permitId must be a non-empty string, got ${show(permitId)}`);
  }
  return permitId;
}

export function checkLimitPolicy(policy: unknown): LimitPolicy {
  if (policy === undefined) return 'error';
  if (policy !== 'error' && policy !== 'adopt' && policy !== 'set') {
    throw new RangeError(`limitPolicy must be "error", "adopt" or "set", got ${show(policy)}`);
  }
  return policy;
}

export function checkOnUnavailable(value: unknown): 'reject' | 'local' {
  if (value === undefined) return 'reject';
  if (value === 'reject' || value === 'local') return value;
  throw new RangeError(`onUnavailable must be "reject" or "local", got ${show(value)}`);
}

export function checkTtl(ttl: unknown): number {
  return number('ttl', ttl, LEAST_TTL_MS, MAX_TIMER_MS, 'ms');
}

export function checkForgetAfter(forgetAfter: unknown): number | undefined {
  if (forgetAfter === undefined) return undefined;
  return wholeNumber('forgetAfter', forgetAfter, LEAST_TTL_MS, MAX_TIMER_MS);
}

export function checkRetain(retain: unknown): number {
  return number('retain', retain, 0, MAX_TIMER_MS, 'ms');
}

export function checkTimeout(timeout: unknown): number | undefined {
  if (timeout === undefined || timeout === Infinity) return undefined;
  return number('timeout', timeout, 0, Number.MAX_SAFE_INTEGER, 'ms');
}

export function checkSafetyMargin(margin: unknown, ttl: number): void {
  if (margin !== undefined) number('safetyMargin', margin, 0, MAX_TIMER_MS, 'ms');
  const used = safetyMargin(ttl, margin as number | undefined);
  if (used > ttl / 2) {
    throw new RangeError(
      `safetyMargin ${used} ms leaves less than half of the ttl of ${ttl} ms; raise the ttl or lower it`,
    );
  }
}

export function checkSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined) return undefined;
  if (
    typeof signal !== 'object' ||
    signal === null ||
    typeof (signal as AbortSignal).aborted !== 'boolean' ||
    typeof (signal as AbortSignal).addEventListener !== 'function' ||
    typeof (signal as AbortSignal).removeEventListener !== 'function'
  ) {
    throw new TypeError(`signal must be an AbortSignal, got ${show(signal)}`);
  }
  return signal as AbortSignal;
}

/** What ends a watch. */
export function signalOfWatch(options: { signal?: AbortSignal }): AbortSignal | undefined {
  return checkSignal(checkKeys(options, WATCH).signal);
}

export function checkBoolean(name: string, value: unknown, byDefault: boolean): boolean {
  if (value === undefined) return byDefault;
  if (typeof value !== 'boolean') throw new TypeError(`${name} must be true or false, got ${show(value)}`);
  return value;
}

/** A copy, with its keys in order, so that later changes by the caller do not show. */
export function checkMetadata(metadata: unknown): Record<string, string> | undefined {
  if (metadata === undefined) return undefined;
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    throw new TypeError(`metadata must be an object of strings, got ${show(metadata)}`);
  }
  const entries = Object.entries(metadata);
  const wrong = entries.find(([, value]) => typeof value !== 'string');
  if (wrong !== undefined)
    throw new TypeError(`metadata.${wrong[0]} must be a string, got ${show(wrong[1])}`);
  const copy = Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))) as Record<string, string>;
  const bytes = Buffer.byteLength(JSON.stringify(copy));
  if (bytes > MOST_METADATA_BYTES) {
    throw new RangeError(`metadata must be at most ${MOST_METADATA_BYTES} bytes as JSON, got ${bytes}`);
  }
  return copy;
}

export function checkHolder(holder: unknown): string | undefined {
  if (holder === undefined) return undefined;
  if (typeof holder !== 'string') throw new TypeError(`holder must be a string, got ${show(holder)}`);
  if (Buffer.byteLength(holder) > MOST_HOLDER_BYTES) {
    throw new RangeError(
      `holder must be at most ${MOST_HOLDER_BYTES} bytes, got ${Buffer.byteLength(holder)}`,
    );
  }
  return holder;
}

/** What the server takes as a bucket name (ADR-8). */
export function checkBucket(bucket: unknown): string {
  if (typeof bucket !== 'string') throw new TypeError(`bucket must be a string, got ${show(bucket)}`);
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(bucket)) {
    throw new RangeError(`bucket must be 1 to 128 letters, digits, "_" and "-", got ${show(bucket)}`);
  }
  return bucket;
}

export function checkMaxBytes(maxBytes: unknown): number | undefined {
  if (maxBytes === undefined) return undefined;
  return wholeNumber('maxBytes', maxBytes, MAX_MESSAGE_BYTES, Number.MAX_SAFE_INTEGER);
}

/** @returns what the subjects of the JetStream API begin with; undefined: as the server has it */
export function checkApiPrefix(domain: unknown, apiPrefix: unknown): string | undefined {
  if (domain !== undefined && apiPrefix !== undefined) {
    throw new RangeError(
      `domain ${show(domain)} and apiPrefix ${show(apiPrefix)} exclude each other: a domain has a prefix of its own`,
    );
  }
  if (domain !== undefined) return `$JS.${checkTokens('domain', domain, 1)}.API`;
  return apiPrefix === undefined ? undefined : checkTokens('apiPrefix', apiPrefix, Infinity);
}

/** A part of a subject: tokens joined by dots, without wildcards. */
function checkTokens(name: string, value: unknown, most: number): string {
  if (typeof value !== 'string') throw new TypeError(`${name} must be a string, got ${show(value)}`);
  // eslint-disable-next-line no-control-regex
  const tokens = /^[^.*>\s\x00-\x1f\x7f]+(\.[^.*>\s\x00-\x1f\x7f]+)*$/.test(value)
    ? value.split('.').length
    : 0;
  if (tokens === 0 || tokens > most || Buffer.byteLength(value) > MAX_PREFIX_BYTES) {
    const what = most === 1 ? 'one token' : 'tokens joined by dots';
    throw new RangeError(
      `${name} must be ${what}, without wildcards or white space, at most ${MAX_PREFIX_BYTES} bytes, got ${show(value)}`,
    );
  }
  return value;
}

function wholeNumber(name: string, value: unknown, least: number, most: number, what?: string): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number, got ${show(value)}`);
  if (!Number.isInteger(value) || value < least || value > most) {
    const bound = what === undefined ? `${most}` : `${most} (${what})`;
    throw new RangeError(`${name} must be a whole number from ${least} to ${bound}, got ${value}`);
  }
  return value;
}

function number(name: string, value: unknown, least: number, most: number, unit: string): number {
  if (typeof value !== 'number')
    throw new TypeError(`${name} must be a number of ${unit}, got ${show(value)}`);
  if (!(value >= least && value <= most)) {
    throw new RangeError(`${name} must be from ${least} to ${most} ${unit}, got ${value}`);
  }
  return value;
}

function show(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
