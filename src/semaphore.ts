import type { Engine, Want } from './core/engine';
import { AcquireTimeoutError } from './errors';
import {
  type AcquireOptions,
  checkBoolean,
  checkCount,
  checkMetadata,
  checkSafetyMargin,
  checkSignal,
  checkTimeout,
  checkTtl,
  toAcquireOptions,
} from './options';
import { type Permit, toPermit } from './permit';

/**
 * At most so many at a time, across all processes that use the same name in the same bucket.
 *
 * It guarantees that no slot is held by two at once. Processes are served in no particular order; within one process, in
 * the order in which they asked.
 */
export interface Semaphore {
  readonly name: string;
  /**
   * Waits for a permit. `await using permit = await semaphore.lock(5_000)` releases it at the end of the block.
   * @param timeout how long to wait, in ms, or {@link AcquireOptions}; default: for ever
   * @throws AcquireTimeoutError if none became free in time
   * @throws BackendUnavailableError if the server could not be reached in time
   * @throws CorruptEntryError if no slot can be had because the bucket holds something unreadable in its place
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
  /** Takes a permit if one is to be had at once, or within `timeout`; null if not. Otherwise throws like `lock`. */
  tryAcquire(options?: AcquireOptions): Promise<Permit | null>;
  /** How many slots are free at this moment. */
  availablePermits(): Promise<number>;
  /** Whether no slot is free at this moment. */
  isLocked(): Promise<boolean>;
}

/** What a semaphore needs of its dispatcher. */
export interface SemaphoreSettings {
  readonly name: string;
  readonly slots: number;
  readonly ttl: number;
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
    try {
      return await this.#acquire({ ...given, timeout: given.timeout ?? 0 });
    } catch (error) {
      if (error instanceof AcquireTimeoutError) return null;
      throw error;
    }
  }

  async availablePermits(): Promise<number> {
    const slots = await this.#settings.engine().look();
    return slots.filter((slot) => slot.state === 'free').length;
  }

  async isLocked(): Promise<boolean> {
    return (await this.availablePermits()) === 0;
  }

  async #acquire(options: AcquireOptions): Promise<Permit> {
    const { slots, safetyMargin } = this.#settings;
    const ttl = options.ttl === undefined ? this.#settings.ttl : this.#checkTtl(options.ttl);
    const want: Want = {
      count: options.count === undefined ? 1 : checkCount(options.count, slots),
      ttl,
      autoRenew: checkBoolean('autoRenew', options.autoRenew, true),
      metadata: checkMetadata(options.metadata),
    };
    checkSafetyMargin(safetyMargin, ttl);
    const patience = { timeout: checkTimeout(options.timeout), signal: checkSignal(options.signal) };
    const lease = await this.#settings.engine().acquire(want, patience);
    return toPermit(lease, { ttl: (value) => this.#checkTtl(value), count: checkCount });
  }

  #checkTtl(value: unknown): number {
    const ttl = checkTtl(value);
    checkSafetyMargin(this.#settings.safetyMargin, ttl);
    return ttl;
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
