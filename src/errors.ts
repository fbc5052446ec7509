/** What every error of this package carries besides its message. */
export interface ErrorDetails {
  /** Name of the semaphore (or other primitive) concerned, where there is one. */
  primitive?: string;
  cause?: unknown;
}

/**
 * Base of every error this package throws, apart from `TypeError` and `RangeError` for bad arguments.
 * Tell errors apart by {@link SemaphoreError.code}, not by message or `instanceof`: two copies of a package
 * may be loaded in one program.
 */
export class SemaphoreError extends Error {
  /** Stable identifier, for example `ACQUIRE_TIMEOUT`. */
  readonly code: string;
  /** Name of the primitive concerned, where there is one. */
  readonly primitive?: string;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    if (details.primitive !== undefined) this.primitive = details.primitive;
  }
}

/** `ACQUIRE_TIMEOUT`: the backend answered, but what was asked for did not become free in time. */
export class AcquireTimeoutError extends SemaphoreError {
  constructor(message: string, details?: ErrorDetails) {
    super('ACQUIRE_TIMEOUT', message, details);
  }
}

/** `PERMIT_LOST`: the hold ended without a release. Reason of a permit's `signal`, and of a failed `renew`. */
export class PermitLostError extends SemaphoreError {
  constructor(message: string, details?: ErrorDetails) {
    super('PERMIT_LOST', message, details);
  }
}

/** `LIMIT_CONFLICT`: the number of slots asked for differs from the one stored with the semaphore. */
export class LimitConflictError extends SemaphoreError {
  constructor(message: string, details?: ErrorDetails) {
    super('LIMIT_CONFLICT', message, details);
  }
}

/** `LOCK_CONFLICT`: a lock by name exists already, with another backend or other options. */
export class LockConflictError extends SemaphoreError {
  constructor(message: string, details?: ErrorDetails) {
    super('LOCK_CONFLICT', message, details);
  }
}

/** `UNSUPPORTED_SERVER`: JetStream is off, or the server is too old for what was asked of it. */
export class UnsupportedServerError extends SemaphoreError {
  constructor(message: string, details?: ErrorDetails) {
    super('UNSUPPORTED_SERVER', message, details);
  }
}

/** `BUCKET_CONFIG`: the bucket exists with settings under which the promises would not hold, or may not be made. */
export class BucketConfigError extends SemaphoreError {
  constructor(message: string, details?: ErrorDetails) {
    super('BUCKET_CONFIG', message, details);
  }
}

/** `BACKEND_UNAVAILABLE`: no answer from the server in the time allowed. Trying again later may succeed. */
export class BackendUnavailableError extends SemaphoreError {
  constructor(message: string, details?: ErrorDetails) {
    super('BACKEND_UNAVAILABLE', message, details);
  }
}

/**
 * `STORE_FULL`: the bucket, or the account or the disk that it is on, has no room for a write. The write is tried again for as long as
 * it matters; this is the `cause` of what fails meanwhile.
 */
export class StoreFullError extends SemaphoreError {
  constructor(message: string, details?: ErrorDetails) {
    super('STORE_FULL', message, details);
  }
}

/** `CORRUPT_ENTRY`: the bucket holds something this version can not read; what it stands for counts as taken. */
export class CorruptEntryError extends SemaphoreError {
  constructor(message: string, details?: ErrorDetails) {
    super('CORRUPT_ENTRY', message, details);
  }
}

/** `IN_USE`: the primitive was not removed, since it is held or waited for. */
export class PrimitiveInUseError extends SemaphoreError {
  constructor(message: string, details?: ErrorDetails) {
    super('IN_USE', message, details);
  }
}

/** `REMOVED`: the primitive was removed while it was waited for or watched. The name may be used again at once. */
export class PrimitiveRemovedError extends SemaphoreError {
  constructor(message: string, details?: ErrorDetails) {
    super('REMOVED', message, details);
  }
}

/** `DISPATCHER_CLOSED`: the dispatcher was closed before or during the operation. */
export class DispatcherClosedError extends SemaphoreError {
  constructor(message: string, details?: ErrorDetails) {
    super('DISPATCHER_CLOSED', message, details);
  }
}

/** `PERMISSION_DENIED`: the server refuses the connection's user an operation that is needed. */
export class PermissionDeniedError extends SemaphoreError {
  constructor(message: string, details?: ErrorDetails) {
    super('PERMISSION_DENIED', message, details);
  }
}
