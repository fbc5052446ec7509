export { type Dispatcher, LocalDispatcher, NatsDispatcher } from './dispatcher';
export {
  AcquireTimeoutError,
  BackendUnavailableError,
  BucketConfigError,
  CorruptEntryError,
  DispatcherClosedError,
  LimitConflictError,
  PermissionDeniedError,
  PermitLostError,
  SemaphoreError,
  UnsupportedServerError,
} from './errors';
export type {
  AcquireOptions,
  ConnectOptions,
  DispatcherOptions,
  LimitPolicy,
  SemaphoreOptions,
} from './options';
export type { Permit } from './permit';
export type { AcquireAllWant, Semaphore } from './semaphore';
export type { HolderStatus, PrimitiveSummary, SemaphoreStatus, WaiterStatus } from './status';
export type { NatsConnection } from './store/nats/connection';
