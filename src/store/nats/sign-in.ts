import {
  type Auth,
  type Authenticator,
  credsAuthenticator,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node';

/** How a client proves who it is. A function is asked again at every reconnect, so that a renewed file is used. */
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
 * What a server is shown in place of credentials that can not be read. It refuses it, and never takes it for a client without a
 * login, whom it may let into another account (`no_auth_user`).
 */
const UNREADABLE = { user: 'nats-semaphore: credentials can not be read', pass: '' };

/**
 * The authenticators of one connection. An authenticator that throws, because its file is being replaced at that moment, closes
 * the client's connection for good. Once a login has worked, such a failure is only one more refused login, and the client tries again.
 */
export class Credentials {
  /** What an authenticator threw last. */
  failure: unknown;
  private hasWorked = false;

  constructor(private readonly authenticators: readonly Authenticator[]) {}

  get given(): boolean {
    return this.authenticators.length > 0;
  }

  /** All of them as one, as the client joins them. */
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
