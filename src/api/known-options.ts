import { type AllKeysOf, optionKeys } from './option-keys';
import type {
  AcquireOptions,
  ConnectOptions,
  DispatcherOptions,
  LatchWaitOptions,
  LocalDispatcherOptions,
  LockManagerOptions,
  MutexOptions,
  ReadWriteLockOptions,
  RemoveOptions,
  SemaphoreOptions,
  WatchOptions,
} from './options';
import type { ConnectionOptions } from '../store/nats/connect';

const dispatcher: AllKeysOf<DispatcherOptions> = {
  bucket: true,
  storage: true,
  replicas: true,
  placement: true,
  holder: true,
  ttl: true,
  safetyMargin: true,
  fair: true,
  retain: true,
  onUnavailable: true,
  allowBucketUpdate: true,
  maxBytes: true,
  domain: true,
  apiPrefix: true,
};

/** Options of the NATS client. A version of it that has others does not compile. */
const client: AllKeysOf<ConnectionOptions> = {
  servers: true,
  authenticator: true,
  debug: true,
  ignoreAuthErrorAbort: true,
  ignoreClusterUpdates: true,
  inboxPrefix: true,
  maxPingOut: true,
  maxReconnectAttempts: true,
  name: true,
  noAsyncTraces: true,
  noEcho: true,
  noRandomize: true,
  pass: true,
  pedantic: true,
  pingInterval: true,
  port: true,
  reconnect: true,
  reconnectDelayHandler: true,
  reconnectJitter: true,
  reconnectJitterTLS: true,
  reconnectTimeWait: true,
  reconnectToServer: true,
  resolve: true,
  timeout: true,
  tls: true,
  token: true,
  user: true,
  verbose: true,
  waitOnFirstConnect: true,
};

const mutex: AllKeysOf<MutexOptions> = { ttl: true, fair: true, retain: true, reentrant: true };

export const DISPATCHER = optionKeys<DispatcherOptions>('NatsDispatcher', dispatcher);
export const LOCAL_DISPATCHER = optionKeys<LocalDispatcherOptions>('LocalDispatcher', {
  holder: true,
  ttl: true,
  fair: true,
  retain: true,
  safetyMargin: true,
});
export const CONNECT = optionKeys<ConnectOptions>('NatsDispatcher.connect', { ...dispatcher, ...client });
export const PLACEMENT = optionKeys<NonNullable<DispatcherOptions['placement']>>('placement', {
  cluster: true,
  tags: true,
});
export const LOCK_MANAGER = optionKeys<LockManagerOptions>('a lock manager', {
  ...dispatcher,
  ...client,
  connection: true,
});
export const SEMAPHORE = optionKeys<SemaphoreOptions>('a semaphore', {
  ttl: true,
  fair: true,
  retain: true,
  limitPolicy: true,
  forgetAfter: true,
});
export const REMOVE = optionKeys<RemoveOptions>('a removal', { force: true });
export const MUTEX = optionKeys<MutexOptions>('a mutex', mutex);
export const NAMED_LOCK = optionKeys<MutexOptions & { name?: string }>('createLock', {
  ...mutex,
  name: true,
});
export const READ_WRITE_LOCK = optionKeys<ReadWriteLockOptions>('a read-write lock', {
  ttl: true,
  fair: true,
});
/** Also for primitives with one slot only: the check that `count` can be 1 alone is made where the primitive is known. */
export const ACQUIRE = optionKeys<AcquireOptions>('an acquire', {
  timeout: true,
  signal: true,
  ttl: true,
  autoRenew: true,
  metadata: true,
  count: true,
});
export const DRAIN = optionKeys<Omit<AcquireOptions, 'count' | 'timeout'>>('drainPermits', {
  signal: true,
  ttl: true,
  autoRenew: true,
  metadata: true,
});
export const LATCH_WAIT = optionKeys<LatchWaitOptions>('a wait for a latch', { timeout: true, signal: true });
export const WATCH = optionKeys<WatchOptions>('a watch', {
  signal: true,
});
