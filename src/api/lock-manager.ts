import type { LockManagerOptions } from './options';
import { Abort } from '../runtime/cancellation';
import { sleep, systemClock } from '../runtime/clock';
import { newId } from '../runtime/id';
import { encodeName } from '../protocol/name';
import { onAbort, throwIfAborted } from '../runtime/on-abort';
import { LocalDispatcher, NatsDispatcher } from './dispatcher';
import { Events, OUTAGE_EVENTS, type OutageEvents } from './events';
import { BackendUnavailableError, DispatcherClosedError, LockConflictError } from '../errors';
import { LOCK_MANAGER, MUTEX, NAMED_LOCK } from './known-options';
import type { Lock } from './lock';
import { checkKeys } from './option-keys';
import type { LockOptions, MutexOptions } from './options';
import { DEFAULT_TTL_MS, checkBoolean, checkRetain, checkTtl } from './option-checks';
import type { Mutex } from './mutex';
import { NamedMutex } from './named-mutex';
import type { Permit } from './permit';
import { checkConnection } from '../store/nats/connection';

/** What is behind a lock: this process only, or NATS. */
export type LockBackend = 'local' | 'nats';

/** A lock that a manager knows. */
export interface ListedLock {
  readonly name: string;
  readonly backend: LockBackend;
  readonly lock: Mutex;
}

/**
 * Locks by name for a whole program: every caller that asks for the same name gets the same instance.
 *
 * Locks of the backend `"nats"` connect when one is first used, and reconnect for ever, through refused logins too. If the first connection
 * fails, the use of the lock fails with a {@link BackendUnavailableError} (or whatever else `NatsDispatcher.connect` throws), and the next
 * use tries again. The same goes for a connection that was closed for good, as with `maxReconnectAttempts`: the next use makes a new one.
 * What was locked before is held until its ttl ends. A connection that was given to {@link LockManager.configure} is never replaced:
 * configure again with another.
 */
export class LockManager {
  readonly #known = new Map<string, ListedLock & { readonly options: Required<MutexOptions> }>();
  readonly #events = new Events<OutageEvents>();
  #backends = new Backends({}, this.#events);

  /**
   * The lock of that name, made if there is none.
   * @param backend default `"local"`
   * @param options of a new lock. If the lock exists already, each option given must agree with it
   * @throws LockConflictError if there is one of another backend or with other options; RangeError, TypeError
   */
  getOrCreateLock(name: string, backend: LockBackend = 'local', options: MutexOptions = {}): Mutex {
    checkKeys(options, MUTEX);
    const known = this.#known.get(name);
    if (known === undefined) {
      const lock = this.#backends.make(name, backend, options);
      this.#known.set(name, { name, backend, lock, options: filledIn(options) });
      return lock;
    }
    if (known.backend !== checkBackend(backend)) throw conflict(name, 'backend', known.backend, backend);
    for (const key of ['ttl', 'fair', 'retain', 'reentrant'] as const) {
      const asked = options[key];
      if (asked !== undefined && asked !== known.options[key])
        throw conflict(name, key, known.options[key], asked);
    }
    return known.lock;
  }

  /**
   * A lock without a registered name: `getLock` and `listLocks` do not return it. Default name: a unique one.
   * @throws RangeError, TypeError
   */
  createLock(backend: LockBackend = 'local', options: MutexOptions & { name?: string } = {}): Mutex {
    const { name = `lock-${newId()}`, ...rest } = checkKeys(options, NAMED_LOCK);
    return this.#backends.make(name, backend, rest);
  }

  /** The lock of that name; undefined if it was never requested. */
  getLock(name: string): Mutex | undefined {
    return this.#known.get(name)?.lock;
  }

  /** All locks by name, in the order in which they were made. */
  listLocks(): ListedLock[] {
    return [...this.#known.values()].map(({ name, backend, lock }) => ({ name, backend, lock }));
  }

  /**
   * Sets how to connect to NATS: to be called before the first lock of that backend is used. Default: `servers` from the environment
   * variable `NATS_URL`, else `localhost:4222`, and the default bucket.
   * @throws LockConflictError if NATS is in use already: `close` first, unless its connection is closed for good. TypeError for a
   *   `connection` that is none
   */
  configure(options: LockManagerOptions): void {
    this.#backends.configure(options);
  }

  /** Calls the listener for an event of the connection's dispatcher; see {@link OutageEvents}. Returns a function that stops that. */
  on<E extends keyof OutageEvents>(event: E, listener: (detail: OutageEvents[E]) => void): () => void {
    return this.#events.on(event, listener);
  }

  /** Releases and forgets all locks, and disconnects. Locks handed out before are closed; new ones can be made. Safe to call twice. */
  async close(): Promise<void> {
    const closing = this.#backends;
    this.#known.clear();
    this.#backends = new Backends(closing.options, this.#events);
    await closing.close();
  }
}

/** The dispatchers behind the locks of a manager, made when first needed. */
class Backends {
  #local: LocalDispatcher | undefined;
  #nats: Promise<NatsDispatcher> | undefined;
  /** Set once it is connected. */
  #current: NatsDispatcher | undefined;
  /** Dispatchers whose connection was closed for good: what was locked by them is held until its ttl ends. */
  readonly #retired: NatsDispatcher[] = [];
  #closed = false;

  constructor(
    public options: LockManagerOptions,
    private readonly events: Events<OutageEvents>,
  ) {}

  configure(options: LockManagerOptions): void {
    if (options.connection !== undefined) checkConnection(options.connection);
    this.#retire();
    if (this.#nats !== undefined)
      throw new LockConflictError('NATS is in use already: configure before the first use, or close first');
    this.options = { ...checkKeys(options, LOCK_MANAGER) };
  }

  make(name: string, backend: LockBackend, options: MutexOptions): Mutex {
    if (checkBackend(backend) === 'local')
      return (this.#local ??= new LocalDispatcher()).mutex(name, options);
    // Bad arguments are refused now, not when it is used.
    encodeName(name);
    filledIn(options);
    return new NamedMutex(this, name, options, (patience) => this.#connected(patience));
  }

  async close(): Promise<void> {
    this.#closed = true;
    const nats = await this.#nats?.catch(() => undefined);
    const all = [this.#local, nats, ...this.#retired];
    await Promise.all(all.map(async (dispatcher) => dispatcher?.close()));
  }

  /** Discards a dispatcher whose connection is closed for good. */
  #retire(): void {
    if (this.#current?.connectionState !== 'closed') return;
    this.#retired.push(this.#current);
    this.#current = undefined;
    this.#nats = undefined;
  }

  /** The dispatcher, connected within a timeout. */
  async #connected({ timeout, signal }: LockOptions): Promise<NatsDispatcher> {
    if (this.#closed) throw new DispatcherClosedError('the lock manager was closed');
    // A connection of the caller is not ours to replace: its use fails, with the reason.
    if (this.options.connection === undefined) this.#retire();
    const connecting = (this.#nats ??= this.#begin());
    const done = new Abort();
    const stop = onAbort(signal, () => done.abort());
    try {
      throwIfAborted(signal);
      const late = timeout === undefined ? [] : [sleep(systemClock, timeout, done, { keepAlive: true })];
      const aborted = new Promise<void>((resolve) => done.addEventListener('abort', resolve));
      const dispatcher = await Promise.race([connecting, aborted, ...late]);
      throwIfAborted(signal);
      if (dispatcher === undefined)
        throw new BackendUnavailableError(`not connected to NATS within ${timeout} ms`);
      return dispatcher;
    } finally {
      done.abort();
      stop();
    }
  }

  /** Connects. If that fails, the next use tries again. */
  #begin(): Promise<NatsDispatcher> {
    const connecting = this.#connect();
    connecting.catch(() => {
      if (this.#nats === connecting) this.#nats = undefined;
    });
    return connecting;
  }

  async #connect(): Promise<NatsDispatcher> {
    const { connection, ...options } = this.options;
    let dispatcher: NatsDispatcher;
    try {
      dispatcher =
        connection === undefined
          ? await NatsDispatcher.connect(options)
          : new NatsDispatcher(connection, options);
    } catch (error) {
      const last = this.#retired.at(-1);
      if (!(error instanceof BackendUnavailableError && options.onUnavailable === 'local' && last))
        throw error;
      // It grants within this process. The next use tries again.
      this.#retired.pop();
      return (this.#current = last);
    }
    dispatcher.relayTo(this.events, OUTAGE_EVENTS);
    this.#current = dispatcher;
    return dispatcher;
  }
}

function checkBackend(backend: unknown): LockBackend {
  if (backend === 'local' || backend === 'nats') return backend;
  throw new RangeError(`backend must be "local" or "nats", got ${JSON.stringify(backend)}`);
}

function filledIn({
  ttl,
  fair = false,
  retain = 0,
  reentrant = false,
}: MutexOptions): Required<MutexOptions> {
  return {
    ttl: ttl === undefined ? DEFAULT_TTL_MS : checkTtl(ttl),
    fair: checkBoolean('fair', fair, false),
    retain: checkRetain(retain),
    reentrant: checkBoolean('reentrant', reentrant, false),
  };
}

function conflict(name: string, what: string, there: unknown, asked: unknown): LockConflictError {
  return new LockConflictError(
    `the lock "${name}" exists with ${what} ${JSON.stringify(there)}, and was asked for with ${JSON.stringify(asked)}`,
    { primitive: name },
  );
}

const defaultManager = new LockManager();

/** The manager behind {@link getOrCreateLock}: one in a program, even if the program both imports and requires the package. */
export function getDefaultLockManager(): LockManager {
  return defaultManager;
}

/**
 * The lock of that name: the same instance anywhere in the program. See {@link LockManager.getOrCreateLock}.
 * @example
 * await getOrCreateLock('reports', 'nats').lock(5_000, () => makeReports());
 */
export function getOrCreateLock(name: string, backend?: LockBackend, options?: MutexOptions): Mutex {
  return defaultManager.getOrCreateLock(name, backend, options);
}

/** A lock without a registered name. See {@link LockManager.createLock}. */
export function createLock(backend?: LockBackend, options?: MutexOptions & { name?: string }): Mutex {
  return defaultManager.createLock(backend, options);
}

/** The lock of that name; undefined if it was never requested. */
export function getLock(name: string): Mutex | undefined {
  return defaultManager.getLock(name);
}

/**
 * Runs work while holding a lock, of whatever kind, and releases it however the work ends.
 * @param options `timeout` in ms, how long to wait for the lock, default: for ever; `signal` ends the wait
 * @throws as {@link Lock.lock}, and what `work` throws
 */
export function lockContext<T>(
  lock: Lock,
  options: number | Pick<LockOptions, 'timeout' | 'signal'>,
  work: (permit: Permit) => T | Promise<T>,
): Promise<T> {
  return lock.lock(options, work);
}
