import { BackendUnavailableError, PermissionDeniedError, type SemaphoreError } from '../../errors';

/**
 * Why a request got no answer that counts:
 * - `silent`: nothing came back in time. It may or may not have been carried out.
 * - `absent`: no server or client listens on the subject. It was not carried out.
 * - `closed`: the connection is closed for good. It was not sent.
 * - `denied`: the server refuses this user the subject. It was not carried out.
 */
export type FailureKind = 'silent' | 'absent' | 'closed' | 'denied';

const KINDS: Record<string, FailureKind> = {
  // @nats-io/* 3.x: error names
  TimeoutError: 'silent',
  NoResponders: 'absent',
  JetStreamNotEnabled: 'absent',
  ClosedConnectionError: 'closed',
  DrainingConnectionError: 'closed',
  PermissionViolationError: 'denied',
  // nats 2.x: codes of NatsError
  TIMEOUT: 'silent',
  '503': 'absent',
  CONNECTION_CLOSED: 'closed',
  CONNECTION_DRAINING: 'closed',
  PERMISSIONS_VIOLATION: 'denied',
  DISCONNECT: 'silent',
};

/** Names (3.x) and codes (2.x) of the errors with which a server refuses a login. */
const LOGIN_REFUSED = new Set([
  'AuthorizationError',
  'UserAuthenticationExpiredError',
  'AUTHORIZATION_VIOLATION',
  'AUTHENTICATION_EXPIRED',
  'BAD_AUTHENTICATION',
  'ACCOUNT_EXPIRED',
]);

/** The server waited in vain for a login, as of a client on a machine that is busy: that says nothing of the login. */
const LOGIN_TOO_LATE = /authentication timeout/i;

/** Whether the server refuses the login: wrong, expired, revoked, or none where one is needed. */
export function isLoginRefused(error: unknown): boolean {
  if (!(error instanceof Error) || LOGIN_TOO_LATE.test(error.message)) return false;
  return LOGIN_REFUSED.has(error.name) || LOGIN_REFUSED.has((error as { code?: string }).code ?? '');
}

/** A request that failed in one of the ways of {@link FailureKind}. */
export class RequestFailure extends Error {
  constructor(
    readonly kind: FailureKind,
    message: string,
    cause?: unknown,
  ) {
    super(message, { cause });
    this.name = 'RequestFailure';
  }
}

/**
 * The kind of a client's error, read by name and code, never by class: two copies of a client may be loaded. Undefined if the
 * kind is unknown.
 */
export function failureKind(error: unknown): FailureKind | undefined {
  for (let e = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++) {
    if (e instanceof RequestFailure) return e.kind;
    const code =
      'code' in e && (typeof e.code === 'string' || typeof e.code === 'number') ? String(e.code) : '';
    // A RequestError wraps the reason: look there first.
    const inner = e.cause === undefined ? undefined : failureKind(e.cause);
    const kind = inner ?? KINDS[e.name] ?? KINDS[code];
    if (kind !== undefined) return kind;
  }
  return undefined;
}

/** The error to show a user for a failed request. */
export function toPublicError(error: unknown, doing: string): SemaphoreError {
  const text = error instanceof Error ? error.message : String(error);
  if (failureKind(error) === 'denied') {
    return new PermissionDeniedError(`not allowed while ${doing}: ${text}`, { cause: error });
  }
  if (failureKind(error) === 'closed') {
    return new BackendUnavailableError(`not possible while ${doing}: ${text}`, { cause: error });
  }
  return new BackendUnavailableError(`the server could not be reached while ${doing}: ${text}`, {
    cause: error,
  });
}
