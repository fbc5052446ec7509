import type { Engine } from '../engine/engine';
import type { Lease } from '../lease/lease';
import { type Lock, LockHandle } from './lock';
import type { AcquireOptions, LockOptions } from './options';
import { checkCount, checkPermitId, signalOfWatch } from './option-checks';
import { type OwnPermit, type Permit, type WritePermit, toPermit, toWritePermit } from './permit';
import {
  type Settings,
  type Watchable,
  isForced,
  acquireBy,
  patienceOf,
  permitHome,
  wantOf,
} from './slot-lock';
import type { RemoveOptions } from './options';
import { type ReadWriteLockStatus, readWriteStatusOf } from './status';
import { changes } from './watching';

/**
 * Any number of readers or one writer, across all processes that use the same name in the same bucket.
 *
 * It guarantees that there is no other holder while a writer holds it. A waiting writer keeps out new readers, except with `fair: true`
 * readers that asked before it. The lock is not reentrant: a reader that asks to read again, while a writer waits, waits for itself.
 *
 * A permit's fencing token is larger than those of all writers before it; a writer's is also larger than those of all readers before it.
 */
export interface ReadWriteLock extends Watchable<ReadWriteLockStatus> {
  readonly name: string;
  /** For readers: any number hold it at once. */
  readonly read: Lock;
  /** For writers: one holds it, and there is no reader. */
  readonly write: Lock<LockOptions, WritePermit>;
}

/**
 * How it works. The writer's place is one key, claimed, renewed and released like the slot of a mutex. A reader writes a key of its own,
 * under the condition that the writer's key is still at the revision at which it was known to be free.
 *
 * - So no reader begins while the writer's place is taken, whatever a client believes: the store keeps one order between writes to a key
 *   and writes that depend on it. This needs no complete knowledge of the readers. A condition on the last revision of all holds together
 *   would need it: one announcement missed in a change of leader makes a second holder. Readers do not disturb each other. The state of the
 *   writer's key is that of its last revision alone, so a marker that disappears silently changes nothing.
 * - A writer that has taken the writer's place reads all keys once more, and that read shows all readers that began before. It waits until
 *   each is released or has expired (`acquire/await-readers.ts`), and only then has a permit. Its token is the revision that took the
 *   place: larger than those of all readers before, and smaller than those of all readers after.
 * - A permit ends as any other ({@link Lease}). If a reader renews too late, so that the renewal is stored after its own expiry marker, a
 *   writer may hold the lock already. The answer then came after the reader's deadline, so the reader ignores it.
 * - A permit to write that becomes one to read writes its own reader's key under the condition that the writer's is still its own, and then
 *   gives that back: at no instant are both free.
 */
export function createReadWriteLock(settings: Settings): ReadWriteLock {
  return new ReadWriteLockHandle(settings);
}

class ReadWriteLockHandle implements ReadWriteLock {
  readonly read: Lock;
  readonly write: Lock<LockOptions, WritePermit>;

  constructor(private readonly settings: Settings) {
    const home = permitHome(settings);
    this.read = new Side(settings, 'read', (lease) => toPermit(lease, home));
    const { keys } = settings;
    this.write = new Side(settings, 'write', (lease) =>
      toWritePermit(lease, home, () => lease.moveTo(keys.reader(lease.id))),
    );
  }

  get name(): string {
    return this.settings.name;
  }

  async status(): Promise<ReadWriteLockStatus> {
    return readWriteStatusOf(this.name, await this.settings.engine().look());
  }

  watch(options: { signal?: AbortSignal } = {}): AsyncIterable<ReadWriteLockStatus> {
    const signal = signalOfWatch(options);
    this.settings.engine().checkOpen();
    const read = ({ table }: Engine): ReadWriteLockStatus => readWriteStatusOf(this.name, table);
    // An idle engine may have been put away since.
    return { [Symbol.asyncIterator]: () => changes(() => this.settings.engine(), signal, read) };
  }

  async forceRelease(permitId: string): Promise<boolean> {
    return this.settings.engine().forceRelease(checkPermitId(permitId));
  }

  async remove(options?: RemoveOptions): Promise<boolean> {
    return this.settings.engine().remove(isForced(options));
  }
}

/** One side of a read-write lock. */
class Side<P extends Permit> extends LockHandle<LockOptions, P> {
  constructor(
    private readonly settings: Settings,
    private readonly mode: 'read' | 'write',
    private readonly toHandle: (lease: Lease) => P & OwnPermit,
  ) {
    super();
  }

  get name(): string {
    return this.settings.name;
  }

  async isLocked(): Promise<boolean> {
    const { readers, taken } = await this.settings.engine().look();
    return taken.size > 0 || (this.mode === 'write' && readers.size > 0);
  }

  protected async take(options: AcquireOptions): Promise<P & OwnPermit> {
    if (options.count !== undefined) checkCount(options.count, 1, 'a read-write lock');
    const want = { ...wantOf(this.settings, options), mode: this.mode };
    return this.toHandle(await acquireBy(this.settings, want, patienceOf(options)));
  }
}
