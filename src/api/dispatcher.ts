import type { LocalDispatcherOptions } from './options';
import { Abort } from '../runtime/cancellation';
import { hostname } from 'node:os';
import { type Clock, sleep, systemClock } from '../runtime/clock';
import { Background, type Context } from '../store/context';
import { EngineRegistry } from '../engine/engine-registry';
import { BatchedTimers } from '../runtime/batched-timers';
import type { Engine } from '../engine/engine';
import type { WatcherCounts } from '../store/context';
import { LatchRegistry } from '../latch/latch-registry';
import { encodeName } from '../protocol/name';
import { LocalFallback } from '../engine/local-fallback';
import { type DispatcherEvents, Events } from './events';
import { SlotTable } from '../state/slot-table';
import { Keys, allOf, primitiveOf } from '../protocol/keys';
import { type AcquireAllWant, acquireTogether } from './acquire-together';
import { type CountDownLatch, createLatch } from './latch';
import { type Mutex, createMutex } from './mutex';
import { DispatcherClosedError } from '../errors';
import {
  CONNECT,
  DISPATCHER,
  LOCAL_DISPATCHER,
  MUTEX,
  PLACEMENT,
  READ_WRITE_LOCK,
  SEMAPHORE,
} from './known-options';
import type { Lock } from './lock';
import { checkKeys } from './option-keys';
import type {
  AcquireOptions,
  ConnectOptions,
  LockOptions,
  MutexOptions,
  DispatcherOptions,
  ReadWriteLockOptions,
  SemaphoreOptions,
} from './options';
import {
  DEFAULT_TTL_MS,
  checkApiPrefix,
  checkBoolean,
  checkBucket,
  checkForgetAfter,
  checkHolder,
  checkLimitPolicy,
  checkMaxBytes,
  checkOnUnavailable,
  checkRetain,
  checkSafetyMargin,
  checkSlots,
  checkTotal,
  checkTtl,
} from './option-checks';
import type { Permit, WritePermit } from './permit';
import { type ReadWriteLock, createReadWriteLock } from './read-write-lock';
import { Reentrancy } from './reentrancy';
import { type UnreadableEntry, repair } from './repair';
import { type Semaphore, createSemaphore } from './semaphore';
import { Overview, type OverviewOwner } from './overview';
import type { Settings } from './slot-lock';
import type { RemoveOptions } from './options';
import {
  KEYS_OF,
  KIND_OF,
  type PermitKind,
  type PrimitiveSummary,
  latchSummaryOf,
  summaryOf,
} from './status';
import { Telemetry } from './telemetry/telemetry';
import { MemoryStore } from '../store/memory';
import { type ConnectionOptions, openConnection } from '../store/nats/connect';
import { type NatsConnection, checkConnection } from '../store/nats/connection';
import type { ConnectionState, Contact } from '../store/nats/contact';
import { NatsStore } from '../store/nats/nats-store';
import type { Store, WriteCounts } from '../store/store';

const DEFAULT_BUCKET = 'SEMAPHORES';
/** How long `close` waits for the server to acknowledge releases. */
const CLOSE_WAIT_MS = 5_000;

/** Hands out primitives by name; all of one dispatcher live in one bucket. */
export interface Dispatcher extends AsyncDisposable {
  /**
   * Resolves when the bucket exists and is fit for use. Calling it is optional: every operation waits for it. If a server does not answer,
   * the client asks again for 10 s; it throws at once what the server refuses.
   * @throws UnsupportedServerError, BucketConfigError, PermissionDeniedError, BackendUnavailableError
   */
  ready(): Promise<void>;
  /**
   * A semaphore of that name. Needs no server: nothing happens before it is used.
   * @param name any text of 1 to 256 bytes of UTF-8
   * @param slots how many may be held at once: 1 to 10,000. The process that first uses the semaphore stores the number with it; see
   *   {@link SemaphoreOptions.limitPolicy} for what happens in other processes. Default: the stored number, or 1 if there is none
   * @throws RangeError, TypeError for bad arguments
   */
  semaphore(name: string, slots?: number, options?: SemaphoreOptions): Semaphore;
  /**
   * A mutex of that name. Needs no server: nothing happens before it is used. A mutex and a semaphore of the same name are independent of
   * each other.
   * @param name any text of 1 to 256 bytes of UTF-8
   * @throws RangeError, TypeError for bad arguments
   */
  mutex(name: string, options?: MutexOptions): Mutex;
  /**
   * A read-write lock of that name. Needs no server: nothing happens before it is used. It is independent of other kinds of primitive of
   * the same name.
   * @param name any text of 1 to 256 bytes of UTF-8
   * @throws RangeError, TypeError for bad arguments
   */
  readWriteLock(name: string, options?: ReadWriteLockOptions): ReadWriteLock;
  /**
   * Takes a permit to read under the read-write lock of that name: with `work`, for as long as it runs.
   * @example
   * const config = await dispatcher.readLock('/config.json', 5_000, () => readFile('config.json', 'utf8'));
   * @throws as {@link Lock.lock}
   */
  readLock(name: string, timeout?: number | LockOptions): Promise<Permit>;
  readLock<T>(
    name: string,
    timeout: number | LockOptions,
    work: (permit: Permit) => T | Promise<T>,
  ): Promise<T>;
  /** As {@link Dispatcher.readLock}, to write: there is no other reader or writer meanwhile. */
  writeLock(name: string, timeout?: number | LockOptions): Promise<WritePermit>;
  writeLock<T>(
    name: string,
    timeout: number | LockOptions,
    work: (permit: WritePermit) => T | Promise<T>,
  ): Promise<T>;
  /**
   * A latch of that name. Needs no server: nothing happens before it is used.
   * @param name any text of 1 to 256 bytes of UTF-8
   * @param count what it counts down from: 1 to 1,000,000,000. Stored by the first `countDown` if none is; a stored one that
   *   began at another number is a {@link LimitConflictError} at first use. Default: as {@link CountDownLatch.trySetCount} says
   * @throws RangeError, TypeError for bad arguments
   */
  latch(name: string, count?: number): CountDownLatch;
  /**
   * One permit on slots of several semaphores and mutexes: all or nothing, at every instant. It holds nothing while it waits, so the order
   * of the wants does not matter and there is no deadlock. Needs nats-server 2.12.
   * @throws as {@link Semaphore.lock}; TypeError for primitives of another dispatcher
   */
  acquireAll(wants: AcquireAllWant[], options?: AcquireOptions): Promise<Permit>;
  /** What exists in the bucket: every primitive with a stored limit, a holder, a retained slot or a waiter in the queue. */
  list(): Promise<PrimitiveSummary[]>;
  /**
   * Removes everything of a primitive from the bucket: see {@link Watchable.remove} and {@link CountDownLatch.remove}. Takes the items of
   * {@link Dispatcher.list}.
   * @example
   * for (const primitive of await dispatcher.list()) if (primitive.held === 0) await dispatcher.remove(primitive);
   */
  remove(primitive: Pick<PrimitiveSummary, 'kind' | 'name'>, options?: RemoveOptions): Promise<boolean>;
  /** Calls the listener for an event of this dispatcher; see {@link DispatcherEvents}. Returns a function that stops that. */
  on<E extends keyof DispatcherEvents>(event: E, listener: (detail: DispatcherEvents[E]) => void): () => void;
  /** Whether permits are granted within this process only, at this moment: see {@link DispatcherOptions.onUnavailable}. */
  readonly isDegraded: boolean;
  /**
   * Releases all permits, refuses all waiters with a {@link DispatcherClosedError}, and frees everything else: afterwards it has no timer,
   * subscription or key. While the server is out of reach it waits 5 s at most; permits that are held then end with their ttl. Safe to call
   * twice.
   */
  close(): Promise<void>;
}

/** What tests and benchmarks read from a dispatcher. */
export interface Diagnostics {
  /** How often the safety net checked for missed changes, and how often it found one. Without faults: never. */
  readonly feed: Readonly<WatcherCounts>;
  /** How many writes got no answer, and for how many of those the outcome was found out. */
  readonly writes: Readonly<WriteCounts>;
}

/** A dispatcher over any store. The package exports only its two subclasses. */
export abstract class StoreDispatcher implements Dispatcher {
  readonly #context: Context;
  readonly #ttl: number;
  readonly #engines: EngineRegistry;
  readonly #latches: LatchRegistry;
  readonly #fair: boolean;
  readonly #retain: number;
  readonly #events = new Events<DispatcherEvents>();
  readonly #telemetry: Telemetry;
  readonly #outage: LocalFallback | undefined;
  #closing: Promise<void> | undefined;

  protected constructor(store: Store, clock: Clock, options: DispatcherOptions) {
    this.#ttl = options.ttl === undefined ? DEFAULT_TTL_MS : checkTtl(options.ttl);
    this.#fair = checkBoolean('fair', options.fair, false);
    this.#retain = options.retain === undefined ? 0 : checkRetain(options.retain);
    checkSafetyMargin(options.safetyMargin, this.#ttl);
    this.#context = {
      store,
      clock,
      holder: checkHolder(options.holder) ?? `${hostname()}:${process.pid}`,
      safetyMargin: options.safetyMargin,
      counts: { safetyReads: 0, safetyFinds: 0 },
      background: new Background(),
      pulse: new BatchedTimers(clock),
    };
    this.#telemetry = new Telemetry(clock, this.#events);
    this.#engines = new EngineRegistry(this.#context);
    this.#latches = new LatchRegistry(this.#context);
    if (checkOnUnavailable(options.onUnavailable) === 'local') this.#outage = this.#followOutages();
  }

  on<E extends keyof DispatcherEvents>(
    event: E,
    listener: (detail: DispatcherEvents[E]) => void,
  ): () => void {
    return this.#events.on(event, listener);
  }

  /** Passes events to the listeners of another object, too. @internal */
  relayTo<E extends keyof DispatcherEvents>(
    events: Events<Pick<DispatcherEvents, E>>,
    names: readonly E[],
  ): void {
    this.#events.relayTo(events, names);
  }

  get isDegraded(): boolean {
    return this.#outage?.isOn === true;
  }

  /** @internal */
  get diagnostics(): Diagnostics {
    const { counts, store } = this.#context;
    return { feed: counts, writes: store.counts ?? { unanswered: 0, resolved: 0 } };
  }

  /** Everything in the bucket, kept up to date until it is stopped. @internal */
  overview(owner: OverviewOwner): Overview {
    this.#checkOpen();
    return new Overview(this.#context, owner);
  }

  /** Finds the entries that can not be read, and removes them if requested. @internal */
  async repair(options: { remove: boolean }): Promise<UnreadableEntry[]> {
    this.#checkOpen();
    return repair(this.#context, options);
  }

  /** Reports the state of the connection to the server. @internal */
  protected followConnection(contact: Contact): void {
    contact.observe({
      disconnected: (cause) => this.#events.tell('disconnected', { cause }),
      loginRefused: (error) => this.#events.tell('loginRefused', { error }),
      reconnected: (afterMs) => this.#events.tell('reconnected', { afterMs }),
      closed: (cause, gaveUp) => {
        if (gaveUp) this.#events.tellOrWarn('connectionClosed', { cause }, cause.message);
        else this.#events.tell('connectionClosed', { cause });
      },
    });
  }

  /** For how long there has been no connection to the server, in ms, and whether it is closed for good. @internal */
  get contact(): { readonly state: ConnectionState; readonly goneMs: number } {
    return { state: 'connected', goneMs: 0 };
  }

  /** Why the server seems out of reach at this moment. @internal */
  get trouble(): Error | undefined {
    return this.#context.store.trouble();
  }

  async ready(): Promise<void> {
    this.#checkOpen();
    await this.#context.store.ready();
  }

  semaphore(name: string, slots?: number, options: SemaphoreOptions = {}): Semaphore {
    if (slots !== undefined) checkSlots(slots);
    const limitPolicy = checkLimitPolicy(checkKeys(options, SEMAPHORE).limitPolicy);
    const forgetAfter = checkForgetAfter(options.forgetAfter);
    return createSemaphore({
      ...this.#settings('semaphore', name, options),
      slots,
      limitPolicy,
      forgetAfter,
    });
  }

  mutex(name: string, options: MutexOptions = {}): Mutex {
    const reentrant = checkBoolean('reentrant', checkKeys(options, MUTEX).reentrant, false);
    return createMutex(
      this.#settings('mutex', name, options),
      reentrant ? new Reentrancy(this.#context, name) : undefined,
    );
  }

  latch(name: string, count?: number): CountDownLatch {
    const total = count === undefined ? undefined : checkTotal(count);
    encodeName(name);
    return createLatch({
      name,
      total,
      engine: () => {
        this.#checkOpen();
        return this.#latches.get(name);
      },
    });
  }

  readWriteLock(name: string, options: ReadWriteLockOptions = {}): ReadWriteLock {
    checkKeys(options, READ_WRITE_LOCK);
    return createReadWriteLock(this.#settings('read-write-lock', name, { ...options, retain: 0 }));
  }

  readLock(name: string, timeout?: number | LockOptions): Promise<Permit>;
  readLock<T>(
    name: string,
    timeout: number | LockOptions,
    work: (permit: Permit) => T | Promise<T>,
  ): Promise<T>;
  async readLock<T>(
    name: string,
    timeout?: number | LockOptions,
    work?: (permit: Permit) => T | Promise<T>,
  ): Promise<Permit | T> {
    return withOrWithout(this.readWriteLock(name).read, timeout, work);
  }

  writeLock(name: string, timeout?: number | LockOptions): Promise<WritePermit>;
  writeLock<T>(
    name: string,
    timeout: number | LockOptions,
    work: (permit: WritePermit) => T | Promise<T>,
  ): Promise<T>;
  async writeLock<T>(
    name: string,
    timeout?: number | LockOptions,
    work?: (permit: WritePermit) => T | Promise<T>,
  ): Promise<WritePermit | T> {
    return withOrWithout(this.readWriteLock(name).write, timeout, work);
  }

  async acquireAll(wants: AcquireAllWant[], options?: AcquireOptions): Promise<Permit> {
    this.#checkOpen();
    return acquireTogether(this.#context, wants, options, this.#engines, this.#ttl, this.#telemetry);
  }

  async list(): Promise<PrimitiveSummary[]> {
    this.#checkOpen();
    const { clock, store } = this.#context;
    const tables = new Map<string, { kind: PermitKind; name: string; table: SlotTable }>();
    const askedAt = clock.now();
    for (const entry of await store.read(Object.values(KEYS_OF).map(allOf))) {
      const primitive = primitiveOf(entry.key);
      if (primitive === undefined) continue;
      const { kind, prefix, name } = primitive;
      const known = tables.get(prefix) ?? {
        kind: KIND_OF[kind],
        name,
        table: new SlotTable(new Keys(kind, name)),
      };
      tables.set(prefix, known);
      known.table.apply(this.#engines.shown(entry, prefix), askedAt);
    }
    const slots = [...tables.values()]
      .filter(({ table }) => table.exists)
      .map(({ kind, name, table }) => summaryOf(kind, name, table));
    const latches = (await this.#latches.list()).map(({ name, table }) => latchSummaryOf(name, table));
    return [...slots, ...latches].sort((a, b) =>
      a.name < b.name ? -1 : a.name > b.name ? 1 : a.kind < b.kind ? -1 : 1,
    );
  }

  async remove(
    { kind, name }: Pick<PrimitiveSummary, 'kind' | 'name'>,
    options?: RemoveOptions,
  ): Promise<boolean> {
    switch (kind) {
      case 'semaphore':
        return this.semaphore(name).remove(options);
      case 'mutex':
        return this.mutex(name).remove(options);
      case 'read-write-lock':
        return this.readWriteLock(name).remove(options);
      case 'latch':
        return this.latch(name).remove(options);
      default:
        throw new RangeError(
          `kind must be "semaphore", "mutex", "read-write-lock" or "latch", got ${JSON.stringify(kind)}`,
        );
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeNow();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Frees what lies behind the store. */
  protected abstract closeBackend(): Promise<void>;

  #settings<K extends PermitKind>(
    kind: K,
    name: string,
    options: MutexOptions,
  ): Settings & { readonly kind: K } {
    const keys = new Keys(KEYS_OF[kind], name);
    const ttl = options.ttl === undefined ? this.#ttl : checkTtl(options.ttl);
    const { safetyMargin } = this.#context;
    checkSafetyMargin(safetyMargin, ttl);
    const engine = (): Engine => {
      this.#checkOpen();
      return this.#engines.get(keys, name);
    };
    const outage = this.#outage;
    return {
      name,
      keys,
      kind,
      slots: undefined,
      ttl,
      fair: checkBoolean('fair', options.fair, this.#fair),
      retain: options.retain === undefined ? this.#retain : checkRetain(options.retain),
      limitPolicy: 'error',
      safetyMargin,
      telemetry: this.#telemetry,
      engine,
      acquire: outage && ((want, patience) => outage.acquire(keys, engine, want, patience)),
    };
  }

  #followOutages(): LocalFallback {
    return new LocalFallback(this.#context, {
      degraded: (cause) => this.#events.tellOrWarn('degraded', { cause }, degradedWarning(cause)),
      restored: (afterMs) => this.#events.tell('restored', { afterMs }),
    });
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new DispatcherClosedError('the dispatcher is closed');
  }

  async #closeNow(): Promise<void> {
    const { background, clock, store } = this.#context;
    this.#latches.close();
    const closed = Promise.all([this.#outage?.close(), this.#engines.close()]);
    const done = new Abort();
    await Promise.race([
      closed.then(() => background.settled()),
      sleep(clock, CLOSE_WAIT_MS, done.signal, { keepAlive: true }),
    ]);
    done.abort();
    await store.close();
    await this.closeBackend();
  }
}

/**
 * Primitives shared by all processes that use the same bucket of a NATS cluster.
 *
 * @example
 * const dispatcher = await NatsDispatcher.connect({ servers: 'nats://localhost:4222' });
 * const semaphore = dispatcher.semaphore('reports', 3);
 * const permit = await semaphore.acquire({ timeout: 5_000 });
 * try {
 *   // at most three are here, in all processes together
 * } finally {
 *   await permit.release();
 * }
 * await dispatcher.close();
 */
export class NatsDispatcher extends StoreDispatcher {
  readonly #contact: Contact;

  /**
   * @param connection of `@nats-io/transport-node` 3.x or of `nats` 2.x. It stays yours: `close` leaves it open. Let it reconnect for ever
   *   (`maxReconnectAttempts: -1`, `ignoreAuthErrorAbort: true`): the client's default is to close for good after some 20 s, or two refused
   *   logins. Then every operation fails, see {@link DispatcherEvents.connectionClosed}.
   * @throws TypeError for a value that is no connection, such as a promise of one
   */
  constructor(connection: NatsConnection, options: DispatcherOptions = {}) {
    checkKeys(options, DISPATCHER);
    checkKeys(options.placement, PLACEMENT);
    const store = storeFor(checkConnection(connection), options);
    super(store, systemClock, options);
    this.#contact = store.contact;
    this.followConnection(store.contact);
  }

  /**
   * State of the connection, as far as the client has noticed: it takes 10 s to notice a dead link. `disconnected`: the client tries to
   * reconnect. `closed`: for good, a new dispatcher is needed.
   */
  get connectionState(): ConnectionState {
    return this.#contact.state;
  }

  /** @internal */
  override get contact(): { readonly state: ConnectionState; readonly goneMs: number } {
    return this.#contact;
  }

  /**
   * Connects and makes a dispatcher whose `close` closes the connection too. The connection reconnects for ever, through outages and
   * refused logins.
   * @throws PermissionDeniedError if the server refuses the login; BackendUnavailableError if no server can be reached now;
   *   UnsupportedServerError if TLS is asked for and the server has none; RangeError, TypeError for bad options
   */
  static async connect(options: ConnectOptions = {}): Promise<NatsDispatcher> {
    return OwningDispatcher.open(checkKeys(options, CONNECT));
  }

  protected closeBackend(): Promise<void> {
    return Promise.resolve();
  }
}

class OwningDispatcher extends NatsDispatcher {
  readonly #connection: NatsConnection;

  private constructor(connection: NatsConnection, options: DispatcherOptions) {
    super(connection, options);
    this.#connection = connection;
  }

  static async open(options: ConnectOptions): Promise<NatsDispatcher> {
    const { own, client } = divide(options);
    const connection = await openConnection(client);
    try {
      return new OwningDispatcher(connection, own);
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  protected override async closeBackend(): Promise<void> {
    // Waits until the last writes have failed or left before the client frees its socket. On a socket that the server has just ended, the
    // failure would otherwise come when it has no listener any more, and end the process.
    await sleep(systemClock, 1, undefined, { keepAlive: true });
    await this.#connection.close();
  }
}

/** Primitives within one process, without a server: the same engine over a store in memory. */
export class LocalDispatcher extends StoreDispatcher {
  constructor(options: LocalDispatcherOptions = {}) {
    super(new MemoryStore(systemClock), systemClock, checkKeys(options, LOCAL_DISPATCHER));
  }

  protected closeBackend(): Promise<void> {
    return Promise.resolve();
  }
}

/** `lock` recognizes by the number of its arguments whether there is work. */
function withOrWithout<T, P extends Permit>(
  lock: Lock<LockOptions, P>,
  timeout: number | LockOptions | undefined,
  work: ((permit: P) => T | Promise<T>) | undefined,
): Promise<P | T> {
  return work === undefined ? lock.lock(timeout) : lock.lock(timeout ?? {}, work);
}

function degradedWarning(cause: Error): string {
  return `permits are granted within this process only: ${cause.message}`;
}

/** Those of the dispatcher, and the others, which are for the NATS client. */
function divide(options: ConnectOptions): { own: DispatcherOptions; client: ConnectionOptions } {
  const given = options as Readonly<Record<string, unknown>>;
  const { names } = DISPATCHER;
  return {
    own: Object.fromEntries(Object.keys(names).map((name) => [name, given[name]])),
    client: Object.fromEntries(Object.entries(given).filter(([name]) => !(name in names))),
  };
}

function storeFor(connection: NatsConnection, options: DispatcherOptions): NatsStore {
  const { storage, replicas, placement, allowBucketUpdate } = options;
  const bucket = checkBucket(options.bucket ?? DEFAULT_BUCKET);
  const maxBytes = checkMaxBytes(options.maxBytes);
  const apiPrefix = checkApiPrefix(options.domain, options.apiPrefix);
  const made = { storage, replicas, placement, maxBytes, allowBucketUpdate };
  return new NatsStore(connection, { bucket, apiPrefix, ...made });
}
