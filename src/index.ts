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
export type { AcquireOptions, ConnectOptions, DispatcherOptions, SemaphoreOptions } from './options';
export type { Permit } from './permit';
export type { Semaphore } from './semaphore';
export type { NatsConnection } from './store/nats/connection';
