import {
  type Auth,
  type Authenticator,
  credsAuthenticator,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node';

/** How a client authenticates. A function is called again at every reconnect, so that a renewed file is used. */
export type SignIn =
  | { readonly creds: () => Uint8Array }
  | { readonly nkeySeed: () => Uint8Array }
  | { readonly user: string; readonly password: string | (() => string) }
  | { readonly token: string | (() => string) };

export function authenticatorOf(signIn: SignIn): Authenticator {
  if ('creds' in signIn) return credsAuthenticator(signIn.creds);
  if ('nkeySeed' in signIn) return nkeyAuthenticator(signIn.nkeySeed);
  if ('token' in signIn) return tokenAuthenticator(signIn.token);
  return usernamePasswordAuthenticator(signIn.user, signIn.password);
}

/**
 * Sent to a server in place of credentials that can not be read. The server refuses this login. With no login at all it could admit
 * the client to another account (`no_auth_user`).
 */
const UNREADABLE = { user: 'nats-semaphore: credentials can not be read', pass: '' };

/**
 * The authenticators of one connection. If an authenticator throws, for example because its file is being replaced, the client
 * closes the connection for good. Once a login has worked, such a failure counts as a refused login, and the client tries again.
 */
export class Credentials {
  /** The last error that an authenticator threw. */
  failure: unknown;
  private hasWorked = false;

  constructor(private readonly authenticators: readonly Authenticator[]) {}

  get given(): boolean {
    return this.authenticators.length > 0;
  }

  /** All authenticators as one, joined in the same way as the client does. */
  readonly authenticator: Authenticator = (nonce) => {
    try {
      return Object.assign({}, ...this.authenticators.map((authenticate) => authenticate(nonce))) as Auth;
    } catch (error) {
      this.failure = error;
      if (!this.hasWorked) throw error;
      return UNREADABLE;
    }
  };

  worked(): void {
    this.hasWorked = true;
  }
}
