export type { AcquireAllWant } from './api/acquire-together';
export { type Dispatcher, LocalDispatcher, NatsDispatcher } from './api/dispatcher';
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
export type { DispatcherEvents, OutageEvents, PermitEvents, PermitRef, PrimitiveRef } from './api/events';
export type { CountDownLatch } from './api/latch';
export type { Lock } from './api/lock';
export type { RemoveOptions } from './api/options';
export {
  type ListedLock,
  type LockBackend,
  type LockManager,
  createLock,
  getDefaultLockManager,
  getLock,
  getOrCreateLock,
  lockContext,
} from './api/lock-manager';
export type { LockManagerOptions } from './api/options';
export type { Mutex } from './api/mutex';
export type {
  AcquireOptions,
  ConnectOptions,
  DispatcherOptions,
  LatchWaitOptions,
  LocalDispatcherOptions,
  LimitPolicy,
  LockOptions,
  MutexOptions,
  ReadWriteLockOptions,
  SemaphoreOptions,
} from './api/options';
export type { Permit, WritePermit } from './api/permit';
export type { ReadWriteLock } from './api/read-write-lock';
export type { Semaphore } from './api/semaphore';
export type { Watchable } from './api/slot-lock';
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
} from './api/status';
export type { NatsConnection } from './store/nats/connection';
export type { ConnectionState } from './store/nats/contact';
