import { throwIfAborted } from '../runtime/on-abort';
import type { Lock } from './lock';
import type { AcquireOptions, LockOptions } from './options';
import { checkCount } from './option-checks';
import type { OwnPermit, Permit } from './permit';
import type { Reentrancy } from './reentrancy';
import { SlotLock, type SlotSettings, type Watchable, patienceOf, wantOf } from './slot-lock';
import type { MutexStatus } from './status';

/**
 * One holder at a time, across all processes that use the same name in the same bucket: a semaphore whose limit is always one slot. Its
 * fencing tokens grow with every grant.
 */
export interface Mutex extends Lock, Watchable<MutexStatus> {}

export function createMutex(settings: SlotSettings, reentrancy?: Reentrancy): Mutex {
  return reentrancy === undefined ? new SlotMutex(settings) : new ReentrantMutex(settings, reentrancy);
}

class SlotMutex extends SlotLock<LockOptions, MutexStatus> implements Mutex {
  constructor(settings: SlotSettings) {
    super(settings, 1);
  }

  protected override async take(options: AcquireOptions): Promise<OwnPermit> {
    checkOne(options);
    return super.take(options);
  }
}

class ReentrantMutex extends SlotMutex {
  constructor(
    settings: SlotSettings,
    private readonly reentrancy: Reentrancy,
  ) {
    super(settings);
  }

  protected override async take(options: LockOptions): Promise<OwnPermit> {
    this.check(options);
    return this.reentrancy.take(() => super.take(options));
  }

  protected override async takeFor<T>(
    options: LockOptions,
    work: (permit: Permit) => T | Promise<T>,
  ): Promise<T> {
    this.check(options);
    return this.reentrancy.takeFor(() => super.take(options), work);
  }

  /** Refuses options that could not be met, also when the caller holds the mutex already. */
  private check(options: LockOptions): void {
    checkOne(options);
    wantOf(this.settings, options);
    throwIfAborted(patienceOf(options).signal);
  }
}

function checkOne({ count }: AcquireOptions): void {
  if (count !== undefined) checkCount(count, 1, 'a mutex');
}
