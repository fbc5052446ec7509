export type { AcquireAllWant } from './acquire-together';
export { type Dispatcher, LocalDispatcher, NatsDispatcher } from './dispatcher';
export {
  AcquireTimeoutError,
  BackendUnavailableError,
  BucketConfigError,
  CorruptEntryError,
  DispatcherClosedError,
  type ErrorDetails,
  LimitConflictError,
  LockConflictError,
  PermissionDeniedError,
  PermitLostError,
  PrimitiveInUseError,
  PrimitiveRemovedError,
  SemaphoreError,
  StoreFullError,
  UnsupportedServerError,
} from './errors';
export type { DispatcherEvents, OutageEvents, PermitEvents, PermitRef, PrimitiveRef } from './events';
export type { CountDownLatch } from './latch';
export type { Lock } from './lock';
export type { RemoveOptions } from './slot-lock';
export {
  type ListedLock,
  type LockBackend,
  type LockManager,
  type LockManagerOptions,
  createLock,
  getDefaultLockManager,
  getLock,
  getOrCreateLock,
  lockContext,
} from './locks';
export type { Mutex } from './mutex';
export type {
  AcquireOptions,
  ConnectOptions,
  DispatcherOptions,
  LatchWaitOptions,
  LimitPolicy,
  LockOptions,
  MutexOptions,
  ReadWriteLockOptions,
  SemaphoreOptions,
} from './options';
export type { Permit, WritePermit } from './permit';
export type { ReadWriteLock } from './read-write-lock';
export type { Semaphore } from './semaphore';
export type { Watchable } from './slot-lock';
export type {
  HolderStatus,
  KeptStatus,
  LatchStatus,
  MutexStatus,
  PermitKind,
  PrimitiveSummary,
  ReadWriteHolderStatus,
  ReadWriteLockStatus,
  ReadWriteWaiterStatus,
  SemaphoreStatus,
  SlotKind,
  SlotStatus,
  WaiterStatus,
} from './status';
export type { NatsConnection } from './store/nats/connection';
export type { ConnectionState } from './store/nats/contact';
