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
 * Any number who read or one who writes, across all processes that use the same name in the same bucket.
 *
 * It guarantees that nobody else holds it while somebody writes. Who has begun to wait to write lets nobody new in to read, except
 * with `fair: true` those who came before. It is not reentrant: who reads and asks to read again, while another waits to
 * write, waits for itself.
 *
 * A permit's fencing token is larger than those of all who wrote before it; a writer's also than those of all who read.
 */
export interface ReadWriteLock extends Watchable<ReadWriteLockStatus> {
  readonly name: string;
  /** For those who only read: any number hold it at once. */
  readonly read: Lock;
  /** For those who write: one holds it, and nobody reads. */
  readonly write: Lock<LockOptions, WritePermit>;
}

/**
 * How it works. The writer's place is one key, claimed, renewed and released like the slot of a mutex. Who reads writes a key
 * of its own, under the condition that the writer's key is still at the revision at which it was known to be free.
 *
 * - So nobody begins to read while the writer's place is taken, whatever else a client believes: the store keeps one order
 *   between writes to a key and writes that depend on it. It takes no complete knowledge of who reads, as a condition on the
 *   last revision of all holds together would, where one announcement missed in a change of leader makes a second holder.
 *   Those who read do not disturb each other, and the state of the writer's key is that of its last revision alone: that a
 *   marker goes away silently can not be mistaken for anything.
 * - Who has taken the writer's place reads all keys once more, and that read shows all who began before. It waits until
 *   each is released or has expired (`acquire/await-readers.ts`), and only then has a permit. Its token is the revision that
 *   took the place: above those of all who read before, and below those of all who do after.
 * - A permit ends as any other ({@link Lease}). Should one who reads renew too late, so that the renewal is stored after its own
 *   expiry marker, then a writer may be in already; but the answer came after the deadline, so nobody believes in it.
 * - A permit to write that becomes one to read writes its own reader's key under the condition that the writer's is still its
 *   own, and then gives that back: at no instant are both free.
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
    // One that nobody uses may have been put away since.
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
