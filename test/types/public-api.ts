/**
 * The types of the public signatures. Nothing here runs: `npm run types` compiles it, and fails when a type is not what it is
 * said to be.
 */
import { connect as connect3 } from '@nats-io/transport-node';
import { expectTypeOf } from 'expect-type';
import { connect as connect2 } from 'nats';
import * as all from '../../src';
import type {
  AcquireAllWant,
  AcquireOptions,
  CountDownLatch,
  Dispatcher,
  DispatcherEvents,
  DispatcherOptions,
  LatchStatus,
  LatchWaitOptions,
  ListedLock,
  Lock,
  LockManager,
  LockOptions,
  Mutex,
  MutexOptions,
  MutexStatus,
  NatsConnection,
  Permit,
  PrimitiveSummary,
  ReadWriteLock,
  ReadWriteLockOptions,
  ReadWriteLockStatus,
  Semaphore,
  SemaphoreOptions,
  SemaphoreStatus,
  WritePermit,
} from '../../src';

export async function dispatchers(): Promise<void> {
  expectTypeOf(await connect2()).toExtend<NatsConnection>();
  expectTypeOf(await connect3()).toExtend<NatsConnection>();
  expectTypeOf(all.NatsDispatcher).toBeConstructibleWith(await connect2(), { bucket: 'B' });
  expectTypeOf(all.LocalDispatcher).toBeConstructibleWith({ ttl: 1_000 });
  expectTypeOf(all.NatsDispatcher.connect).returns.resolves.toEqualTypeOf<all.NatsDispatcher>();
  expectTypeOf(all.NatsDispatcher.connect).toBeCallableWith({ servers: ['a', 'b'], onUnavailable: 'local' });
  expectTypeOf<all.NatsDispatcher>().toExtend<Dispatcher>();
  expectTypeOf<all.LocalDispatcher>().toExtend<Dispatcher>();
  expectTypeOf<Dispatcher>().toExtend<AsyncDisposable>();
  expectTypeOf<DispatcherOptions['onUnavailable']>().toEqualTypeOf<'reject' | 'local' | undefined>();
  expectTypeOf<DispatcherOptions['storage']>().toEqualTypeOf<'file' | 'memory' | undefined>();
}

export function ofDispatcher(dispatcher: Dispatcher): void {
  expectTypeOf(dispatcher.ready).returns.resolves.toBeVoid();
  expectTypeOf(dispatcher.semaphore).parameters.toEqualTypeOf<
    [name: string, slots?: number, options?: SemaphoreOptions]
  >();
  expectTypeOf(dispatcher.semaphore).returns.toEqualTypeOf<Semaphore>();
  expectTypeOf(dispatcher.mutex).parameters.toEqualTypeOf<[name: string, options?: MutexOptions]>();
  expectTypeOf(dispatcher.mutex).returns.toEqualTypeOf<Mutex>();
  expectTypeOf(dispatcher.latch).parameters.toEqualTypeOf<[name: string, count?: number]>();
  expectTypeOf(dispatcher.latch).returns.toEqualTypeOf<CountDownLatch>();
  expectTypeOf(dispatcher.readWriteLock).parameters.toEqualTypeOf<
    [name: string, options?: ReadWriteLockOptions]
  >();
  expectTypeOf(dispatcher.readWriteLock).returns.toEqualTypeOf<ReadWriteLock>();
  expectTypeOf(dispatcher.acquireAll).parameters.toEqualTypeOf<
    [wants: AcquireAllWant[], options?: AcquireOptions]
  >();
  expectTypeOf(dispatcher.acquireAll).returns.resolves.toEqualTypeOf<Permit>();
  expectTypeOf(dispatcher.list).returns.resolves.toEqualTypeOf<PrimitiveSummary[]>();
  expectTypeOf(dispatcher.close).returns.resolves.toBeVoid();
  expectTypeOf(dispatcher.isDegraded).toBeBoolean();
  const stop = dispatcher.on('degraded', ({ cause }) => expectTypeOf(cause).toEqualTypeOf<Error>());
  expectTypeOf(stop).toEqualTypeOf<() => void>();
  dispatcher.on('restored', ({ afterMs }) => expectTypeOf(afterMs).toBeNumber());
  // @ts-expect-error: there is no such event
  dispatcher.on('gone', () => undefined);
  expectTypeOf<keyof DispatcherEvents>().toExtend<string>();
}

export async function ofLocks(semaphore: Semaphore, mutex: Mutex): Promise<void> {
  expectTypeOf(mutex).toExtend<Lock>();
  expectTypeOf(semaphore).toExtend<Lock>();
  for (const lock of [semaphore, mutex] as Lock[]) {
    expectTypeOf(lock.name).toBeString();
    expectTypeOf(await lock.lock()).toEqualTypeOf<Permit>();
    expectTypeOf(await lock.lock(5_000)).toEqualTypeOf<Permit>();
    expectTypeOf(await lock.lock({ timeout: 5_000, signal: AbortSignal.abort() })).toEqualTypeOf<Permit>();
    expectTypeOf(await lock.lock(5_000, () => 1)).toBeNumber();
    expectTypeOf(await lock.lock(5_000, (permit) => Promise.resolve(permit.id))).toBeString();
    expectTypeOf(await lock.acquire({ ttl: 5_000, metadata: { job: 'x' } })).toEqualTypeOf<Permit>();
    expectTypeOf(await lock.tryAcquire()).toEqualTypeOf<Permit | null>();
    expectTypeOf(await lock.isLocked()).toBeBoolean();
    // @ts-expect-error: a timeout is a number
    await lock.lock('5s');
  }
  expectTypeOf(semaphore.forceRelease).returns.resolves.toBeBoolean();
  expectTypeOf(mutex.forceRelease).returns.resolves.toBeBoolean();
  expectTypeOf(await semaphore.lock({ count: 2 })).toEqualTypeOf<Permit>();
  // @ts-expect-error: a mutex has one slot
  await mutex.lock({ count: 2 });
  expectTypeOf<AcquireOptions>().toExtend<LockOptions>();
  expectTypeOf<MutexOptions['reentrant']>().toEqualTypeOf<boolean | undefined>();

  expectTypeOf(semaphore.drainPermits).returns.resolves.toEqualTypeOf<Permit | null>();
  expectTypeOf(semaphore.availablePermits).returns.resolves.toBeNumber();
  expectTypeOf(semaphore.trySetPermits).returns.resolves.toBeBoolean();
  expectTypeOf(semaphore.setPermits).returns.resolves.toBeVoid();
  expectTypeOf(semaphore.addPermits).returns.resolves.toBeNumber();
  expectTypeOf(semaphore.status).returns.resolves.toEqualTypeOf<SemaphoreStatus>();
  expectTypeOf(semaphore.watch).returns.toEqualTypeOf<AsyncIterable<SemaphoreStatus>>();
  expectTypeOf(mutex.status).returns.resolves.toEqualTypeOf<MutexStatus>();
  expectTypeOf(mutex.watch).returns.toEqualTypeOf<AsyncIterable<MutexStatus>>();
}

export async function ofReadWriteLock(lock: ReadWriteLock, dispatcher: Dispatcher): Promise<void> {
  expectTypeOf(lock.read).toExtend<Lock>();
  expectTypeOf(await lock.read.lock()).toEqualTypeOf<Permit>();
  expectTypeOf(await lock.read.tryAcquire()).toEqualTypeOf<Permit | null>();
  expectTypeOf(await lock.read.lock(5_000, () => 1)).toBeNumber();
  expectTypeOf(await lock.write.lock()).toEqualTypeOf<WritePermit>();
  expectTypeOf(await lock.write.tryAcquire()).toEqualTypeOf<WritePermit | null>();
  const permit = await lock.write.acquire({ timeout: 5_000 });
  expectTypeOf(permit).toExtend<Permit>();
  expectTypeOf(await permit.downgrade()).toEqualTypeOf<Permit>();
  await lock.write.lock(5_000, (held) => expectTypeOf(held).toEqualTypeOf<WritePermit>());
  // @ts-expect-error: one who reads takes no number of slots
  await lock.read.lock({ count: 2 });
  expectTypeOf(lock.status).returns.resolves.toEqualTypeOf<ReadWriteLockStatus>();
  expectTypeOf(lock.watch).returns.toEqualTypeOf<AsyncIterable<ReadWriteLockStatus>>();
  expectTypeOf(lock.forceRelease).returns.resolves.toBeBoolean();
  expectTypeOf(await dispatcher.readLock('/config.json')).toEqualTypeOf<Permit>();
  expectTypeOf(await dispatcher.readLock('/config.json', 5_000, () => 'x')).toBeString();
  expectTypeOf(await dispatcher.writeLock('/config.json', { timeout: 5_000 })).toEqualTypeOf<WritePermit>();
  expectTypeOf(
    await dispatcher.writeLock('/config.json', 5_000, (held) => held.downgrade()),
  ).toEqualTypeOf<Permit>();
}

export function ofPermit(permit: Permit): void {
  expectTypeOf(permit).toExtend<AsyncDisposable>();
  expectTypeOf(permit.id).toBeString();
  expectTypeOf(permit.count).toBeNumber();
  expectTypeOf(permit.slots).toEqualTypeOf<readonly number[]>();
  expectTypeOf(permit.fencingToken).toBeBigInt();
  expectTypeOf(permit.signal).toEqualTypeOf<AbortSignal>();
  expectTypeOf(permit.isHeld).toBeBoolean();
  expectTypeOf(permit.remaining).toBeNumber();
  expectTypeOf(permit.renew).parameters.toEqualTypeOf<[ttl?: number]>();
  expectTypeOf(permit.renew).returns.resolves.toBeVoid();
  expectTypeOf(permit.release).parameters.toEqualTypeOf<[count?: number]>();
  expectTypeOf(permit.release).returns.resolves.toBeBoolean();
}

export function ofLatch(latch: CountDownLatch): void {
  expectTypeOf(latch.name).toBeString();
  expectTypeOf(latch.trySetCount).parameters.toEqualTypeOf<[count: number]>();
  expectTypeOf(latch.trySetCount).returns.resolves.toBeBoolean();
  expectTypeOf(latch.countDown).parameters.toEqualTypeOf<[count?: number]>();
  expectTypeOf(latch.countDown).returns.resolves.toBeNumber();
  expectTypeOf(latch.count).returns.resolves.toBeNumber();
  expectTypeOf(latch.wait).parameters.toEqualTypeOf<[options?: LatchWaitOptions]>();
  expectTypeOf(latch.wait).returns.resolves.toBeVoid();
  expectTypeOf(latch.status).returns.resolves.toEqualTypeOf<LatchStatus>();
  expectTypeOf(latch.watch).returns.toEqualTypeOf<AsyncIterable<LatchStatus>>();
}

export async function ofLocksByName(dispatcher: Dispatcher): Promise<void> {
  const { createLock, getDefaultLockManager, getLock, getOrCreateLock, lockContext } = all;
  expectTypeOf(getOrCreateLock).parameters.toEqualTypeOf<
    [name: string, backend?: 'local' | 'nats', options?: MutexOptions]
  >();
  expectTypeOf(getOrCreateLock).returns.toEqualTypeOf<Mutex>();
  expectTypeOf(createLock('nats', { name: 'x' })).toEqualTypeOf<Mutex>();
  expectTypeOf(getLock).returns.toEqualTypeOf<Mutex | undefined>();
  expectTypeOf(getDefaultLockManager).returns.toEqualTypeOf<LockManager>();
  const manager = getDefaultLockManager();
  expectTypeOf(manager.listLocks).returns.toEqualTypeOf<ListedLock[]>();
  expectTypeOf(manager.configure).toBeCallableWith({ servers: 'localhost', bucket: 'B' });
  expectTypeOf(manager.configure).toBeCallableWith({ connection: await connect2(), bucket: 'B' });
  expectTypeOf(manager.close).returns.resolves.toBeVoid();
  // Any lock, and the work decides the result.
  expectTypeOf(await lockContext(dispatcher.semaphore('s'), { timeout: 1 }, () => 1)).toBeNumber();
  expectTypeOf(await lockContext(dispatcher.mutex('m'), 1, async () => 'x')).toBeString();
  // @ts-expect-error: there is no such backend
  getOrCreateLock('x', 'redis');
}

export function ofErrors(error: all.AcquireTimeoutError): void {
  expectTypeOf(error).toExtend<all.SemaphoreError>();
  expectTypeOf(error).toExtend<Error>();
  expectTypeOf(error.code).toBeString();
  expectTypeOf(error.primitive).toEqualTypeOf<string | undefined>();
}
