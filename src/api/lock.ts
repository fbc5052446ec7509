import { AcquireTimeoutError } from '../errors';
import type { LockOptions } from './options';
import { toAcquireOptions } from './option-checks';
import { type OwnPermit, type Permit, releaseFailed, workEnded } from './permit';

/** Anything that can be locked: a semaphore, a mutex, either side of a read-write lock. */
export interface Lock<Options extends LockOptions = LockOptions, P extends Permit = Permit> {
  readonly name: string;
  /**
   * Waits for a permit. `await using permit = await lock.lock(5_000)` releases it at the end of the block.
   * @param timeout how long to wait, in ms, or {@link LockOptions}; default: for ever
   * @throws AcquireTimeoutError if it did not become free in time
   * @throws BackendUnavailableError if the server could not be reached in time
   * @throws LimitConflictError if a semaphore has another number of slots than the code says
   * @throws CorruptEntryError if it can not be granted because the bucket holds something unreadable in its place
   * @throws UnsupportedServerError for several slots at once on a server without atomic batches
   * @throws DispatcherClosedError; the signal's reason; RangeError, TypeError for bad arguments
   */
  lock(timeout?: number | Options): Promise<P>;
  /**
   * Waits for a permit, runs `work` with it, and releases it however `work` ends. Resolves or rejects as `work` does, also if the release
   * fails: the dispatcher then reports the failure with the event `releaseFailed`, or with a process warning if there is no listener. An
   * error of `work` carries that of the release as `releaseError`.
   *
   * The library can not stop `work` when the permit is lost. To be strict, pass `permit.signal` on to what `work` calls, or call
   * `permit.signal.throwIfAborted()` before each step that matters, and let the resource refuse an old {@link Permit.fencingToken}. If
   * `work` resolves after a loss without having checked for it, and `lost` has no listener, the library emits a process warning, once for
   * each primitive.
   * @example
   * await lock.lock(5_000, async (permit) => {
   *   await makeReport({ signal: permit.signal });
   * });
   */
  lock<T>(timeout: number | Options, work: (permit: P) => T | Promise<T>): Promise<T>;
  /** Waits for a permit, which the caller releases. Throws like {@link Lock.lock}. */
  acquire(options?: Options): Promise<P>;
  /**
   * Takes a permit if one is free at once, or within `timeout`; resolves with null if not. Otherwise throws like `lock`. Without a timeout
   * it takes what is free even if others queue for it.
   */
  tryAcquire(options?: Options): Promise<P | null>;
  /** Whether no permit could be granted at this moment. */
  isLocked(): Promise<boolean>;
}

/** The verbs of a lock, over the one way in which it takes a permit. */
export abstract class LockHandle<Options extends LockOptions, P extends Permit = Permit> implements Lock<
  Options,
  P
> {
  abstract readonly name: string;

  lock(timeout?: number | Options): Promise<P>;
  lock<T>(timeout: number | Options, work: (permit: P) => T | Promise<T>): Promise<T>;
  async lock<T>(timeout?: number | Options, work?: (permit: P) => T | Promise<T>): Promise<P | T> {
    if (work !== undefined && typeof work !== 'function') {
      throw new TypeError(`work must be a function, got ${typeof work}`);
    }
    const options: Options = toAcquireOptions(timeout);
    return work === undefined ? this.take(options) : this.takeFor(options, work);
  }

  async acquire(options?: Options): Promise<P> {
    return this.take(toAcquireOptions(options));
  }

  async tryAcquire(options?: Options): Promise<P | null> {
    const given: Options = toAcquireOptions(options);
    return orNull(this.take({ ...given, timeout: given.timeout ?? 0 }));
  }

  abstract isLocked(): Promise<boolean>;

  protected abstract take(options: Options): Promise<P & OwnPermit>;

  protected async takeFor<T>(options: Options, work: (permit: P) => T | Promise<T>): Promise<T> {
    return runAndRelease(await this.take(options), work);
  }
}

export async function orNull<P extends Permit>(acquiring: Promise<P>): Promise<P | null> {
  try {
    return await acquiring;
  } catch (error) {
    if (error instanceof AcquireTimeoutError) return null;
    throw error;
  }
}

/**
 * Runs work under a permit: the outcome of the work wins, whatever happens to the release. The error of the work carries that of the
 * release.
 */
export async function runAndRelease<T, P extends OwnPermit>(
  permit: P,
  work: (permit: P) => T | Promise<T>,
): Promise<T> {
  let result: T;
  try {
    result = await work(permit);
  } catch (error) {
    try {
      await permit.release();
    } catch (releaseError) {
      permit[releaseFailed](releaseError, attach(error, releaseError));
    }
    throw error;
  }
  permit[workEnded]();
  await permit[Symbol.asyncDispose]();
  return result;
}

/** Returns whether it could: a thrown value may be no object, or frozen, or carry the error of a lock within this one. */
function attach(error: unknown, releaseError: unknown): boolean {
  if (typeof error !== 'object' || error === null || Object.hasOwn(error, 'releaseError')) return false;
  return Reflect.defineProperty(error, 'releaseError', { value: releaseError, configurable: true });
}
