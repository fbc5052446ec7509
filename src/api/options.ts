import type { ConnectionOptions } from '../store/nats/connect';
import type { NatsConnection } from '../store/nats/connection';
import type { LimitPolicy } from '../protocol/request';

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

/** Settings of a dispatcher without NATS. */
export type LocalDispatcherOptions = Pick<
  DispatcherOptions,
  'holder' | 'ttl' | 'fair' | 'retain' | 'safetyMargin'
>;

/** Settings of a removal. */
export interface RemoveOptions {
  /** Whether permits that are held are taken away, and waiters sent away. Their holders see them lost. Default false. */
  force?: boolean;
}

/** Settings of a watch. */
export interface WatchOptions {
  /** Ends the watch when it aborts. */
  signal?: AbortSignal;
}

/** How a lock manager comes to NATS: its own connection, or yours, which then stays yours. */
export type LockManagerOptions = ConnectOptions & { connection?: NatsConnection };
