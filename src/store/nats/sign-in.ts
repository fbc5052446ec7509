import {
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
  | { readonly user: string; readonly password: string }
  | { readonly token: string };

export function authenticatorOf(signIn: SignIn): Authenticator {
  if ('creds' in signIn) return credsAuthenticator(signIn.creds);
  if ('nkeySeed' in signIn) return nkeyAuthenticator(signIn.nkeySeed);
  if ('token' in signIn) return tokenAuthenticator(signIn.token);
  return usernamePasswordAuthenticator(signIn.user, signIn.password);
}
