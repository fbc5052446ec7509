import {
  BackendUnavailableError,
  PermissionDeniedError,
  type SemaphoreError,
  UnsupportedServerError,
} from '../../errors';
import { isLoginRefused } from './failure';

/** Codes of Node and of OpenSSL where the two sides do not trust each other's certificates. */
const NOT_TRUSTED = /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_|HOSTNAME_MISMATCH)/;
const NEEDS_CERTIFICATE =
  /^ERR_SSL_.*ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|HANDSHAKE_FAILURE|UNKNOWN_CA)$/;

/**
 * The error to show a user for a connection that could not be made.
 * @param where addresses of the servers, without passwords
 * @param unreadable whether the user's credentials could not be read, before anything was sent
 */
export function connectFailure(
  error: unknown,
  where: string,
  unreadable: boolean,
): SemaphoreError | TypeError {
  // Read by name: a system error may come from another realm than this code.
  const reason = (error as Partial<Error> | undefined)?.message || String(error);
  const details = { cause: error };
  if (unreadable) {
    return new PermissionDeniedError(
      `can not log in to NATS at ${where}: the credentials can not be used: ${reason}`,
      details,
    );
  }
  if (isLoginRefused(error)) {
    return new PermissionDeniedError(
      `NATS at ${where} refuses the login: ${reason}. Check user and password, token, nkey or credentials`,
      details,
    );
  }
  if (/does not support 'tls'|^'tls' is not available/.test(reason)) {
    return new UnsupportedServerError(
      `NATS at ${where} has no TLS, which tls:// or the option tls asks for: nothing was sent in clear`,
      details,
    );
  }
  // The client's own error when `tls` is null: the client then reads certificate options that do not exist.
  if (/options\.tls/.test(reason))
    return new TypeError(`tls must not be null: NATS at ${where} takes no connection without TLS`, details);
  // The client's error for an option that it can not interpret, before it connects.
  if (error instanceof TypeError || (error as Error | undefined)?.name === 'InvalidArgumentError')
    return new TypeError(`options of the NATS connection: ${reason}`, details);
  return new BackendUnavailableError(
    `can not connect to NATS at ${where}: ${reason}${hintOf(error)}`,
    details,
  );
}

function hintOf(error: unknown): string {
  const code = codeOf(error);
  if (NOT_TRUSTED.test(code))
    return `. Name the authority that has signed the server's certificate (tls.ca, --tlsca)`;
  if ((error as Partial<Error> | undefined)?.name === 'TimeoutError')
    return '. The server is out of reach, has as many connections as it may have, or wants a certificate of this client';
  if (NEEDS_CERTIFICATE.test(code))
    return '. The server wants a certificate of this client (tls.cert, --tlscert)';
  return '';
}

/** The first code in the chain of causes. */
function codeOf(error: unknown): string {
  let e = error as { code?: unknown; cause?: unknown } | null | undefined;
  for (let depth = 0; typeof e === 'object' && e !== null && depth < 5; depth++) {
    if (typeof e.code === 'string') return e.code;
    e = e.cause as typeof e;
  }
  return '';
}
