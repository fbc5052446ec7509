import { DEFAULT_LIMIT } from '../state/limit';
import type { Want } from '../protocol/request';
import { DRAIN } from './known-options';
import { type Lock, orNull } from './lock';
import type { AcquireOptions } from './options';
import { checkDelta, checkSignal, checkSlots, toAcquireOptions } from './option-checks';
import type { Permit } from './permit';
import { SlotLock, type SlotSettings, type Watchable, wantOf } from './slot-lock';
import type { SemaphoreStatus } from './status';

/**
 * At most so many holders at a time, across all processes that use the same name in the same bucket.
 *
 * It guarantees that no slot has two holders at once, and that no more slots are held than the limit allows. With `fair: true` permits are
 * granted in the order of the requests, across processes. Without it, each process serves its own waiters in order, and there is no order
 * between processes.
 */
export interface Semaphore extends Lock<AcquireOptions>, Watchable<SemaphoreStatus> {
  /** Takes all slots that are free at this moment, 1,000 at most, as one permit; null if there are none. Throws like `lock`. */
  drainPermits(options?: Omit<AcquireOptions, 'count' | 'timeout'>): Promise<Permit | null>;
  /** How many permits could be granted at this moment. */
  availablePermits(): Promise<number>;
  /** Stores the limit if none is stored. Resolves with whether it did. */
  trySetPermits(slots: number): Promise<boolean>;
  /**
   * Changes the limit for all processes that use the semaphore, at once. Raising it admits waiters at once. Lowering it below what is held
   * revokes no permit: nothing is granted until enough has been released. A waiter for more slots than the new limit is refused with a
   * RangeError.
   */
  setPermits(slots: number): Promise<void>;
  /** Raises the limit by `delta`, or lowers it by a negative one. Resolves with the new limit. */
  addPermits(delta: number): Promise<number>;
}

export function createSemaphore(settings: SlotSettings): Semaphore {
  return new SlotSemaphore(settings);
}

class SlotSemaphore extends SlotLock<AcquireOptions, SemaphoreStatus> implements Semaphore {
  constructor(settings: SlotSettings) {
    super(settings, settings.slots ?? DEFAULT_LIMIT);
  }

  async drainPermits(options?: Omit<AcquireOptions, 'count' | 'timeout'>): Promise<Permit | null> {
    const given = toAcquireOptions(options, DRAIN);
    const want: Want = { ...wantOf(this.settings, given), count: 'all free' };
    return orNull(this.takeSlots(want, { timeout: 0, signal: checkSignal(given.signal) }));
  }

  async availablePermits(): Promise<number> {
    return this.available();
  }

  async trySetPermits(slots: number): Promise<boolean> {
    const wanted = checkSlots(slots);
    const { changed } = await this.settings
      .engine()
      .changeLimit((stored) => (stored === undefined ? wanted : undefined), this.settings.forgetAfter);
    return changed;
  }

  async setPermits(slots: number): Promise<void> {
    const wanted = checkSlots(slots);
    await this.settings.engine().changeLimit(() => wanted, this.settings.forgetAfter);
  }

  async addPermits(delta: number): Promise<number> {
    const step = checkDelta(delta);
    const { slots } = await this.settings
      .engine()
      .changeLimit((stored) => checkSlots((stored ?? this.defaultLimit) + step), this.settings.forgetAfter);
    return slots ?? this.defaultLimit;
  }
}
