import type { LatchEngine } from '../latch/latch-engine';
import { LATCH_WAIT } from './known-options';
import { checkKeys } from './option-keys';
import type { LatchWaitOptions } from './options';
import { checkTimeout, checkSignal, checkTotal, signalOfWatch } from './option-checks';
import { isForced } from './slot-lock';
import type { RemoveOptions } from './options';
import { type LatchStatus, latchStatusOf } from './status';
import { changes } from './watching';

/**
 * Lets any number of waiters continue when something has happened a given number of times, in all processes together.
 *
 * Counting is exact: a write whose answer was lost, or that had to be repeated, counts once. The server notifies waiters, and each wakes
 * once, at zero. At zero a latch stays: a later wait resolves at once, until {@link CountDownLatch.trySetCount} begins a new round. Waiters
 * of the old round then still resolve; later waiters wait for the new one.
 *
 * Every operation waits while the server is out of reach; only `wait` has a timeout.
 */
export interface CountDownLatch {
  readonly name: string;
  /**
   * Begins a round of `count`, 1 to 1,000,000,000, if none was ever stored or the last one has reached zero. Resolves with whether it did.
   * @throws CorruptEntryError, PermissionDeniedError, DispatcherClosedError, RangeError
   */
  trySetCount(count: number): Promise<boolean>;
  /**
   * Counts down by `count`, default 1. Resolves with what is left: never below zero, counting down at zero does nothing. Concurrent calls
   * are written together. It has no timeout: it resolves when the server has stored the count, which then certainly counts once.
   * @throws SemaphoreError `LATCH_NOT_SET` if no count was given in the code or stored
   * @throws LimitConflictError if the stored count began at another number than the code says
   * @throws CorruptEntryError, PermissionDeniedError, DispatcherClosedError, RangeError
   */
  countDown(count?: number): Promise<number>;
  /**
   * What is left at this moment. If nothing is stored: the count in the code, or 0.
   * @throws CorruptEntryError, BackendUnavailableError, DispatcherClosedError
   */
  count(): Promise<number>;
  /**
   * Resolves when zero is reached, or was. While no count is stored it waits for one.
   * @throws AcquireTimeoutError if it was not reached in time; with `timeout: 0`, if it is not zero now
   * @throws BackendUnavailableError if the server could not be reached in time
   * @throws SemaphoreError `LATCH_LOST` if the count was removed meanwhile, with its bucket for example
   * @throws LimitConflictError, CorruptEntryError, DispatcherClosedError; the signal's reason; RangeError, TypeError
   */
  wait(options?: LatchWaitOptions): Promise<void>;
  /** What is left, and how much each process has counted. */
  status(): Promise<LatchStatus>;
  /** The status now, and again after every change, like the watch of a semaphore. */
  watch(options?: { signal?: AbortSignal }): AsyncIterable<LatchStatus>;
  /**
   * Removes everything of it from the bucket. Resolves with whether there was anything. Waiters fail with `LATCH_LOST`.
   * @throws PrimitiveInUseError while its round has not reached zero, unless `force` is true
   */
  remove(options?: RemoveOptions): Promise<boolean>;
}

export interface LatchSettings {
  readonly name: string;
  /** The count in the code; undefined: as stored. */
  readonly total: number | undefined;
  /** The engine for this name, for one operation. */
  engine(): LatchEngine;
}

export function createLatch(settings: LatchSettings): CountDownLatch {
  return new LatchHandle(settings);
}

class LatchHandle implements CountDownLatch {
  readonly #settings: LatchSettings;

  constructor(settings: LatchSettings) {
    this.#settings = settings;
  }

  get name(): string {
    return this.#settings.name;
  }

  async trySetCount(count: number): Promise<boolean> {
    return this.#settings.engine().trySet(checkTotal(count));
  }

  async countDown(count = 1): Promise<number> {
    return this.#settings.engine().countDown(checkTotal(count), this.#settings.total);
  }

  async count(): Promise<number> {
    const left = await this.#settings.engine().left();
    return left ?? this.#settings.total ?? 0;
  }

  async wait(options: LatchWaitOptions = {}): Promise<void> {
    const { timeout, signal } = checkKeys(options, LATCH_WAIT);
    const patience = { timeout: checkTimeout(timeout), signal: checkSignal(signal) };
    return this.#settings.engine().wait(patience, this.#settings.total);
  }

  async status(): Promise<LatchStatus> {
    const { name, total } = this.#settings;
    return latchStatusOf(name, await this.#settings.engine().see(), total);
  }

  async remove(options?: RemoveOptions): Promise<boolean> {
    return this.#settings.engine().remove(isForced(options));
  }

  watch(options: { signal?: AbortSignal } = {}): AsyncIterable<LatchStatus> {
    const signal = signalOfWatch(options);
    const { name, total } = this.#settings;
    this.#settings.engine().checkOpen();
    return {
      [Symbol.asyncIterator]: () =>
        changes(
          () => this.#settings.engine(),
          signal,
          ({ table }) => latchStatusOf(name, table, total),
        ),
    };
  }
}
