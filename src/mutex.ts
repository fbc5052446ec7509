import type { Lock } from './lock';
import { type AcquireOptions, type LockOptions, checkCount } from './options';
import type { Permit } from './permit';
import { SlotLock, type SlotSettings, type Watchable } from './slot-lock';
import type { MutexStatus } from './status';

/**
 * One at a time, across all processes that use the same name in the same bucket: a semaphore with one slot that is never
 * more. Its fencing tokens grow with every grant.
 */
export interface Mutex extends Lock, Watchable<MutexStatus> {}

export function createMutex(settings: SlotSettings): Mutex {
  return new SlotMutex(settings);
}

class SlotMutex extends SlotLock<LockOptions, MutexStatus> implements Mutex {
  constructor(settings: SlotSettings) {
    super(settings, 1);
  }

  protected override async take(options: AcquireOptions): Promise<Permit> {
    if (options.count !== undefined) checkCount(options.count, 1, 'a mutex');
    return super.take(options);
  }
}
