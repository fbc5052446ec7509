import { acquireAll } from './core/acquire-all';
import type { Context } from './core/context';
import type { Engine } from './core/engine';
import type { Engines } from './core/engines';
import { DEFAULT_LIMIT } from './core/limit';
import { available } from './core/plan';
import type { LimitPolicy, Patience, Want } from './core/waiter';
import { AcquireTimeoutError } from './errors';
import {
  type AcquireOptions,
  checkBoolean,
  checkCount,
  checkDelta,
  checkMetadata,
  checkPermitId,
  checkSafetyMargin,
  checkSignal,
  checkSlots,
  checkTimeout,
  checkTtl,
  toAcquireOptions,
} from './options';
import { type Permit, toPermit } from './permit';
import { type SemaphoreStatus, statusOf } from './status';

/**
 * At most so many at a time, across all processes that use the same name in the same bucket.
 *
 * It guarantees that no slot is held by two at once, and that no more are held than the limit allows. With `fair: true`
 * permits are granted in the order in which they were asked for, across processes; without, each process serves its own in
 * order, and processes are served in none.
 */
export interface Semaphore {
  readonly name: string;
  /**
   * Waits for a permit. `await using permit = await semaphore.lock(5_000)` releases it at the end of the block.
   * @param timeout how long to wait, in ms, or {@link AcquireOptions}; default: for ever
   * @throws AcquireTimeoutError if none became free in time
   * @throws BackendUnavailableError if the server could not be reached in time
   * @throws LimitConflictError if the semaphore has another number of slots than the code says
   * @throws CorruptEntryError if it can not be had because the bucket holds something unreadable in its place
   * @throws UnsupportedServerError for a `count` above 1 on a server without atomic batches
   * @throws DispatcherClosedError; the signal's reason; RangeError, TypeError for bad arguments
   */
  lock(timeout?: number | AcquireOptions): Promise<Permit>;
  /**
   * Waits for a permit, runs `work` with it, and releases it however `work` ends. Resolves or rejects as `work` does. If
   * the release fails too, its error is attached to that of `work` as `releaseError`.
   * @example
   * await semaphore.lock(5_000, async (permit) => {
   *   await makeReport({ signal: permit.signal });
   * });
   */
  lock<T>(timeout: number | AcquireOptions, work: (permit: Permit) => T | Promise<T>): Promise<T>;
  /** Waits for a permit, to be released by hand. Throws like {@link Semaphore.lock}. */
  acquire(options?: AcquireOptions): Promise<Permit>;
  /**
   * Takes a permit if one is to be had at once, or within `timeout`; null if not. Otherwise throws like `lock`. Without a
   * timeout it takes what is free even if others queue for it.
   */
  tryAcquire(options?: AcquireOptions): Promise<Permit | null>;
  /** Takes all slots that are free at this moment, 1,000 at most, as one permit; null if there are none. Throws like `lock`. */
  drainPermits(options?: Omit<AcquireOptions, 'count' | 'timeout'>): Promise<Permit | null>;
  /** How many permits could be had at this moment. */
  availablePermits(): Promise<number>;
  /** Whether no permit could be had at this moment. */
  isLocked(): Promise<boolean>;
  /** Stores the limit if none is stored. Resolves with whether it did. */
  trySetPermits(slots: number): Promise<boolean>;
  /**
   * Changes the limit for all who use the semaphore, now. Raising it lets waiters in at once. Lowering it below what is
   * held revokes nobody: nothing is granted until enough has been released. Who waits for more slots than there are then
   * is refused with a RangeError.
   */
  setPermits(slots: number): Promise<void>;
  /** Raises the limit by `delta`, or lowers it by a negative one. Resolves with the new limit. */
  addPermits(delta: number): Promise<number>;
  /** Who holds what and who waits, at this moment. */
  status(): Promise<SemaphoreStatus>;
  /**
   * The status now, and again after every change. Who reads slowly is given the latest, not all those between: it is never
   * behind by more than one. Ends when `signal` aborts or the loop is left; throws when the dispatcher or its connection is closed.
   */
  watch(options?: { signal?: AbortSignal }): AsyncIterable<SemaphoreStatus>;
  /**
   * Takes a permit away from whoever holds it: its signal aborts, and others may be granted its slots at once, possibly
   * before the holder has stopped. Resolves with whether it was held. An operator's tool.
   */
  forceRelease(permitId: string): Promise<boolean>;
}

/** What a semaphore needs of its dispatcher. */
export interface SemaphoreSettings {
  readonly name: string;
  /** As the code has it; undefined: as it is stored. */
  readonly slots: number | undefined;
  readonly ttl: number;
  readonly fair: boolean;
  readonly limitPolicy: LimitPolicy;
  readonly safetyMargin: number | undefined;
  /** The engine for this name, for one operation. */
  engine(): Engine;
}

export function createSemaphore(settings: SemaphoreSettings): Semaphore {
  return new SlotSemaphore(settings);
}

class SlotSemaphore implements Semaphore {
  readonly #settings: SemaphoreSettings;

  constructor(settings: SemaphoreSettings) {
    this.#settings = settings;
    settingsOfHandle.set(this, settings);
  }

  get name(): string {
    return this.#settings.name;
  }

  lock(timeout?: number | AcquireOptions): Promise<Permit>;
  lock<T>(timeout: number | AcquireOptions, work: (permit: Permit) => T | Promise<T>): Promise<T>;
  async lock<T>(
    timeout?: number | AcquireOptions,
    work?: (permit: Permit) => T | Promise<T>,
  ): Promise<Permit | T> {
    if (work !== undefined && typeof work !== 'function') {
      throw new TypeError(`work must be a function, got ${typeof work}`);
    }
    const permit = await this.#acquire(toAcquireOptions(timeout));
    return work === undefined ? permit : runAndRelease(permit, work);
  }

  async acquire(options?: AcquireOptions): Promise<Permit> {
    return this.#acquire(toAcquireOptions(options));
  }

  async tryAcquire(options?: AcquireOptions): Promise<Permit | null> {
    const given = toAcquireOptions(options);
    return orNull(this.#acquire({ ...given, timeout: given.timeout ?? 0 }));
  }

  async drainPermits(options?: Omit<AcquireOptions, 'count' | 'timeout'>): Promise<Permit | null> {
    const given = toAcquireOptions(options);
    const want: Want = { ...wantOf(this.#settings, given), count: 'all free' };
    return orNull(this.#take(want, { timeout: 0, signal: checkSignal(given.signal) }));
  }

  async availablePermits(): Promise<number> {
    const board = await this.#settings.engine().look();
    const stored = board.limit?.limit;
    return available(board, stored?.ok === true ? stored.record.slots : this.#slots);
  }

  async isLocked(): Promise<boolean> {
    return (await this.availablePermits()) === 0;
  }

  async trySetPermits(slots: number): Promise<boolean> {
    const wanted = checkSlots(slots);
    const { changed } = await this.#settings
      .engine()
      .changeLimit((stored) => (stored === undefined ? wanted : undefined));
    return changed;
  }

  async setPermits(slots: number): Promise<void> {
    const wanted = checkSlots(slots);
    await this.#settings.engine().changeLimit(() => wanted);
  }

  async addPermits(delta: number): Promise<number> {
    const step = checkDelta(delta);
    const { slots } = await this.#settings
      .engine()
      .changeLimit((stored) => checkSlots((stored ?? this.#slots) + step));
    return slots ?? this.#slots;
  }

  async status(): Promise<SemaphoreStatus> {
    return statusOf(this.name, await this.#settings.engine().look(), this.#slots);
  }

  watch(options: { signal?: AbortSignal } = {}): AsyncIterable<SemaphoreStatus> {
    const signal = checkSignal(options.signal);
    const engine = this.#settings.engine();
    const limit = this.#slots;
    return {
      [Symbol.asyncIterator]: () => changes(engine, signal, () => statusOf(engine.name, engine.board, limit)),
    };
  }

  async forceRelease(permitId: string): Promise<boolean> {
    return this.#settings.engine().forceRelease(checkPermitId(permitId));
  }

  /** The limit to go by where none is stored. */
  get #slots(): number {
    return this.#settings.slots ?? DEFAULT_LIMIT;
  }

  async #acquire(options: AcquireOptions): Promise<Permit> {
    return this.#take(wantOf(this.#settings, options), patienceOf(options));
  }

  async #take(want: Want, patience: Patience): Promise<Permit> {
    return permitOf(await this.#settings.engine().acquire(want, patience), this.#settings.safetyMargin);
  }
}

/** Settings of the handles we made, for operations on several of them. */
const settingsOfHandle = new WeakMap<Semaphore, SemaphoreSettings>();

/** One of several things to be acquired together. */
export interface AcquireAllWant {
  semaphore: Semaphore;
  /** How many slots of it. Default 1. */
  count?: number;
}

/**
 * Acquires slots of several semaphores together.
 * @param engines of the dispatcher that is asked
 */
export async function acquireTogether(
  context: Context,
  wants: readonly AcquireAllWant[],
  options: AcquireOptions | undefined,
  engines: Engines,
  ttl: number,
): Promise<Permit> {
  if (!Array.isArray(wants) || wants.length === 0) {
    throw new TypeError('wants must be a non-empty array of { semaphore, count }');
  }
  const { count: none, ...given } = toAcquireOptions(options);
  if (none !== undefined) throw new TypeError('count belongs to each of the wants, not to the options');
  const { safetyMargin } = context;
  const wanted = new Map<Engine, { engine: Engine; count: number; want: Want }>();
  for (const { semaphore, count = 1 } of wants as readonly AcquireAllWant[]) {
    const settings = settingsOfHandle.get(semaphore);
    if (settings === undefined) throw new TypeError('wants: each must name a semaphore of this dispatcher');
    const engine = settings.engine();
    if (!engines.has(engine))
      throw new TypeError(`wants: "${engine.name}" is a semaphore of another dispatcher`);
    const total = (wanted.get(engine)?.count ?? 0) + checkCount(count);
    const want = wantOf(settings, { ...given, ttl: given.ttl ?? ttl, count: total });
    wanted.set(engine, { engine, count: total, want });
  }
  const all = [...wanted.values()];
  const first = all[0] as { want: Want };
  return permitOf(await acquireAll(context, all, first.want, patienceOf(given)), safetyMargin);
}

function wantOf(settings: SemaphoreSettings, options: AcquireOptions): Want {
  const { slots, fair, limitPolicy, safetyMargin } = settings;
  const ttl = options.ttl === undefined ? settings.ttl : checkTtl(options.ttl);
  checkSafetyMargin(safetyMargin, ttl);
  return {
    count: options.count === undefined ? 1 : checkCount(options.count),
    ttl,
    autoRenew: checkBoolean('autoRenew', options.autoRenew, true),
    metadata: checkMetadata(options.metadata),
    fair,
    slots,
    limitPolicy,
  };
}

function patienceOf(options: AcquireOptions): Patience {
  return { timeout: checkTimeout(options.timeout), signal: checkSignal(options.signal) };
}

function permitOf(lease: Parameters<typeof toPermit>[0], safetyMargin: number | undefined): Permit {
  return toPermit(lease, {
    ttl: (value) => {
      const ttl = checkTtl(value);
      checkSafetyMargin(safetyMargin, ttl);
      return ttl;
    },
    count: (count, held) => checkCount(count, held, 'the slots it holds'),
  });
}

async function orNull(acquiring: Promise<Permit>): Promise<Permit | null> {
  try {
    return await acquiring;
  } catch (error) {
    if (error instanceof AcquireTimeoutError) return null;
    throw error;
  }
}

/** What `read` gives when the engine's board is complete, and whenever it has changed since it was last asked. */
async function* changes<T>(
  engine: Engine,
  signal: AbortSignal | undefined,
  read: () => T,
): AsyncGenerator<T> {
  let fresh = engine.live;
  let failure: Error | undefined;
  let wake = (): void => undefined;
  const note = (): void => {
    fresh = true;
    wake();
  };
  const stop = engine.observe((error) => {
    failure = error;
    note();
  });
  signal?.addEventListener('abort', note, { once: true });
  try {
    while (signal?.aborted !== true) {
      engine.checkOpen();
      if (failure !== undefined) throw failure;
      if (fresh && engine.live) {
        fresh = false;
        yield read();
      } else {
        fresh = false;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    }
  } finally {
    stop();
    signal?.removeEventListener('abort', note);
  }
}

/** Runs work under a permit: the work's outcome wins, and its error carries that of a failed release. */
async function runAndRelease<T>(permit: Permit, work: (permit: Permit) => T | Promise<T>): Promise<T> {
  let result: T;
  try {
    result = await work(permit);
  } catch (error) {
    try {
      await permit.release();
    } catch (releaseError) {
      if (error instanceof Error)
        Object.defineProperty(error, 'releaseError', { value: releaseError, configurable: true });
    }
    throw error;
  }
  await permit[Symbol.asyncDispose]();
  return result;
}
