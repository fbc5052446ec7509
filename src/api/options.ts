import type { ConnectionOptions } from '../store/nats/connect';
import type { NatsConnection } from '../store/nats/connection';
import type { LimitPolicy } from '../protocol/request';

export type { LimitPolicy };

/** Settings of a dispatcher. All are optional. */
export interface DispatcherOptions {
  /** Name of the KV bucket. It is created if it does not exist. Default `"SEMAPHORES"`. */
  bucket?: string;
  /**
   * Where a bucket that has to be created keeps its entries. Default `"file"`. `"memory"` with one replica loses all holders when the
   * server restarts; an existing bucket of that kind is refused unless `"memory"` is given here.
   */
  storage?: 'file' | 'memory';
  /** Number of copies of a bucket that has to be created: 1, 3 or 5. Default 1. With 3, one server may fail. */
  replicas?: number;
  /** Where in a cluster a bucket that has to be created is placed. Default: anywhere. */
  placement?: { cluster?: string; tags?: string[] };
  /**
   * Maximum size of a bucket that has to be created, in bytes: 16,384 or more. Default: no bound of its own. Some accounts require one. A
   * held slot takes some 300 bytes. A full bucket refuses new holds.
   */
  maxBytes?: number;
  /**
   * JetStream domain of the bucket. Default: that of the server to which the client is connected. With it a client at a leaf node uses the
   * bucket of the hub. Can not be combined with {@link DispatcherOptions.apiPrefix}.
   */
  domain?: string;
  /**
   * Prefix of the subjects of the JetStream API, where this account imports them from another account. Default `"$JS.API"`. Writes then go
   * to `<apiPrefix>.$KV.<bucket>.<key>`, as the writes of other KV clients do. Can not be combined with {@link DispatcherOptions.domain}.
   */
  apiPrefix?: string;
  /** Name of this process in status views. Default `host:pid`. */
  holder?: string;
  /** Default for {@link SemaphoreOptions.ttl}. */
  ttl?: number;
  /**
   * How long before the end of its lease a permit is declared lost, in ms. Covers clock skew between the servers of a cluster, and late
   * timers. Default 5 % of the ttl, at least 100. A larger margin loses permits sooner in an outage. A margin smaller than the skew of the
   * servers gives up the guarantee of mutual exclusion.
   */
  safetyMargin?: number;
  /** Default for {@link SemaphoreOptions.fair}. */
  fair?: boolean;
  /** Default for {@link SemaphoreOptions.retain}, also of mutexes. Read-write locks retain nothing. */
  retain?: number;
  /**
   * What an acquire does while the server is out of reach. `"reject"` (default): it waits, and fails with a {@link BackendUnavailableError}
   * when its timeout ends. `"local"`: permits of semaphores and mutexes are then granted within this process, by the same limits. **That
   * gives up mutual exclusion between processes**: of N slots each process may grant N, beside the permits held on the server.
   *
   * Local granting begins, with the event `degraded`, when a caller has waited for 3 s with the server out of reach, or would have been
   * refused for that reason. It ends, with `restored`, as soon as the server answers; local waiters then move over to the server. If the
   * connection is closed for good, it begins at once and lasts until the dispatcher is closed. Local permits stay held until they are
   * released, so at that moment each process may hold N local permits beside N of the server's. Their fencing tokens are lower than any of
   * the server's: a resource that has seen a token of the server refuses them.
   *
   * The limit is the last one known, or the one in the code. `status` and all other reads from the server fail as they do with `"reject"`;
   * `acquireAll` and latches have no local mode.
   */
  onUnavailable?: 'reject' | 'local';
  /** Whether an existing bucket whose settings do not fit may be changed in place. Default false: such a bucket is an error. */
  allowBucketUpdate?: boolean;
}

/** Settings for {@link NatsDispatcher.connect}: those of the dispatcher, and those of the NATS client (3.x). */
export type ConnectOptions = DispatcherOptions &
  Omit<ConnectionOptions, 'servers'> & {
    /**
     * URLs of servers, in an array or separated by commas: `host`, `host:port`, `nats://host:port`, or `tls://host:port`, which refuses a
     * server without TLS. `user:password@` or `token@` before the host is the login, unless another is given as an option; it is
     * percent-encoded, and the same in all URLs that have one. Default, also where they are blank: the environment variable `NATS_URL`,
     * else `localhost:4222`.
     */
    servers?: string | string[];
  };

/** Settings of a semaphore. */
export interface SemaphoreOptions {
  /**
   * How long a hold survives without renewal, in ms: 1,000 or more. Default 30,000. The slot of a crashed holder stays taken for that long.
   * A shorter ttl is renewed more often (after a third of it, or little more) and survives only shorter outages. The server counts whole
   * seconds: it keeps the slot for the ttl rounded up.
   */
  ttl?: number;
  /**
   * Whether permits are granted in the order of the requests, across all processes. Default false: each process serves its own waiters in
   * order, and there is no order between processes. Fair costs two more writes an acquire, and a process that dies while it is first in the
   * queue delays the queue by 11 s at most. `tryAcquire` without a timeout never queues: it takes what is free.
   */
  fair?: boolean;
  /**
   * For how long the process retains a slot after its release, in ms. Its own next acquire then needs no round trip: some microseconds
   * instead of two round trips. Default 0: not at all. Good for one process that takes the same lock again and again; where several
   * processes alternate it costs them writes.
   *
   * A process retains a slot only while it knows of no waiter elsewhere, and never past the lease of the slot. It gives the slot back as
   * soon as another process waits; that process has it one hand-off later. In any case a process gives the slot back when it has had it for
   * `retain` ms: a waiter whose client writes no demand notice, or whose notice was lost, waits that long. A `tryAcquire` without a timeout
   * does not wait, so it may find a slot retained by another process taken although no permit holds it. With `fair`, a caller in the
   * process that retains the slot may be served before a waiter in another process of which that process has not heard yet. A lowered limit
   * applies to retained slots, too, once the process has heard of it.
   *
   * Permits for several slots are not retained. Neither they nor permits without `autoRenew` are granted from retained slots. If a process
   * ends without `close`, its retained slots stay taken until their ttl ends.
   */
  retain?: number;
  /**
   * What to do at first use when the number of slots in the code differs from the one stored with the semaphore. `"error"` (default)
   * rejects with a {@link LimitConflictError}, `"adopt"` uses the stored one, `"set"` stores the one in the code. Later changes by
   * `setPermits` or `addPermits` apply, whatever the policy.
   */
  limitPolicy?: LimitPolicy;
  /**
   * The stored limit is removed when no process has used the semaphore for that long, in ms: a whole number, 1,000 or more. Default: it
   * stays. For names that are made from data, such as one for each customer. The process that first stores the limit stores this time with
   * it, and all others keep it. While a permit is held or waited for, the limit is stored anew after a third of that time, which is one
   * write more; so is the first use by each process. A limit set by `setPermits` is removed too, and the next use stores the number in the
   * code.
   */
  forgetAfter?: number;
}

/** Settings of a mutex. */
export interface MutexOptions extends Pick<SemaphoreOptions, 'ttl' | 'fair' | 'retain'> {
  /**
   * Whether code that holds the mutex may lock it again. Default false: a second lock waits for itself. The mutex is released when all its
   * locks are released. The asynchronous context (`AsyncLocalStorage`) identifies the holder, on this dispatcher, for all handles of that
   * name with `reentrant`:
   * - `lock(timeout, work)` admits what `work` calls, and nothing else: two functions that `work` runs side by side both enter.
   * - `lock()`, `acquire()` and `tryAcquire()` admit what comes after them in the calling function. That includes the caller of an async
   *   function that locks before its first `await`, even if it does not await that function: start such tasks with the form above, or both
   *   may hold the mutex at once.
   *
   * Locking again never waits and ignores `ttl`, `autoRenew` and `metadata`; the permit has the `id`, `fencingToken` and `signal` of the
   * first. After a lost hold, locking acquires anew. `acquireAll` is never reentrant.
   */
  reentrant?: boolean;
}

/** Settings of one wait for a latch. */
export interface LatchWaitOptions {
  /** How long to wait, in ms. 0: check once. Default: for ever. */
  timeout?: number;
  /** Ends the wait: it rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Settings of a read-write lock. */
export interface ReadWriteLockOptions {
  /** As {@link SemaphoreOptions.ttl}, for readers and writers. Default 30,000. */
  ttl?: number;
  /**
   * Whether it is granted in the order of the requests, across all processes: a waiting writer holds back readers that ask after it, and
   * the readers that then wait are admitted together. Neither side can starve the other. Default false: the first to claim it when it is
   * free gets it; a waiting writer has precedence over new readers.
   */
  fair?: boolean;
}

/** Settings of one acquire. */
export interface LockOptions {
  /** How long to wait, in ms. 0: take what is free now, do not wait. Default: for ever. */
  timeout?: number;
  /** Ends the wait: the acquire rejects with the signal's reason. A permit granted at that moment is released. */
  signal?: AbortSignal;
  /** As {@link SemaphoreOptions.ttl}. Default: that of the primitive. */
  ttl?: number;
  /** Whether the permit is renewed automatically until it is released. Default true. */
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
  /** Whether held permits are revoked and waiters refused. The holders' permits are lost. Default false. */
  force?: boolean;
}

/** Settings of a watch. */
export interface WatchOptions {
  /** Ends the watch when it aborts. */
  signal?: AbortSignal;
}

/** How a lock manager connects to NATS: with its own connection, or with yours, which then stays yours. */
export type LockManagerOptions = ConnectOptions & { connection?: NatsConnection };
