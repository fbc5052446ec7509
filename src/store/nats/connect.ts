import {
  type Authenticator,
  type NodeConnectionOptions,
  connect,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node';
import type { SemaphoreError } from '../../errors';
import { connectFailure } from './connect-failure';
import type { NatsConnection } from './connection';
import { DEFAULT_SERVER, type ServerList, listUrls, parseServers } from './server-urls';
import { Credentials, authenticatorOf } from './sign-in';

/** Options of the NATS client (3.x). */
export type ConnectionOptions = NodeConnectionOptions;

/** How long one attempt to connect may take, in ms. An attempt that the server rejects for too many connections takes as long. */
const ATTEMPT_MS = 5_000;

/**
 * Opens a connection for a process that depends on its locks. The connection never gives up: not after outages, refused logins or
 * credentials that can not be read for a while, each of which ends a connection with the client's default options. It reconnects
 * within a quarter of a second after the server is back, and notices a dead link within 10 s (client default: 4 minutes).
 * @throws PermissionDeniedError if the server refuses the login, or the credentials can not be read; UnsupportedServerError if
 *   TLS is asked for and the server has none; BackendUnavailableError if no server can be reached now; RangeError, TypeError for
 *   bad options
 */
export async function openConnection(options: ConnectionOptions): Promise<NatsConnection> {
  const { authenticator, pass, port, servers, token, user, ...client } = options;
  const list = parseServers(chooseServers(servers, port));
  const credentials = new Credentials(loginsOf({ authenticator, pass, token, user }, list));
  let connection: NatsConnection;
  try {
    connection = await connect({
      name: 'nats-semaphore',
      maxReconnectAttempts: -1,
      ignoreAuthErrorAbort: true,
      timeout: ATTEMPT_MS,
      reconnectTimeWait: 200,
      reconnectJitter: 50,
      reconnectJitterTLS: 50,
      pingInterval: 5_000,
      maxPingOut: 2,
      // A stack trace for each request costs a tenth of an acquire. Our errors name the operation anyway.
      noAsyncTraces: true,
      ...client,
      ...tlsOf(options, list),
      ...(credentials.given && { authenticator: credentials.authenticator }),
      servers: [...list.addresses],
    });
  } catch (error) {
    throw failureOf(error, list, credentials);
  }
  credentials.worked();
  return connection;
}

/** The servers to connect to: the first that is given and not blank of the option, a local port, the environment, the default. */
function chooseServers(servers: unknown, port: number | undefined): unknown {
  if (listUrls(servers).length > 0) {
    if (port !== undefined) throw new TypeError('servers and port must not both be given');
    return servers;
  }
  if (port !== undefined) return `127.0.0.1:${port}`;
  return listUrls(process.env.NATS_URL).length > 0 ? process.env.NATS_URL : DEFAULT_SERVER;
}

/** The login from the options or, without one, the login in the URLs. */
function loginsOf(
  { authenticator, user, pass, token }: ConnectionOptions,
  { login }: ServerList,
): Authenticator[] {
  const own = [authenticator ?? []].flat();
  if (own.some((each) => typeof each !== 'function'))
    throw new TypeError('authenticator must be a function, or an array of functions');
  if (token) own.push(tokenAuthenticator(token));
  if (user) own.push(usernamePasswordAuthenticator(user, pass));
  return own.length === 0 && login !== undefined ? [authenticatorOf(login)] : own;
}

/** TLS options. With `tls://` the client refuses a server without TLS before it sends anything, also at every reconnect. */
function tlsOf({ tls }: ConnectionOptions, list: ServerList): Pick<ConnectionOptions, 'tls'> {
  if (!list.tls) return {};
  if (tls === null) throw new TypeError('tls must not be null where one of the servers is tls://');
  return { tls: tls ?? {} };
}

function failureOf(
  error: unknown,
  { addresses, tls }: ServerList,
  credentials: Credentials,
): SemaphoreError | TypeError {
  const scheme = tls ? 'tls' : 'nats';
  const where = addresses.map((address) => `${scheme}://${address}`).join(', ');
  return connectFailure(error, where, credentials.failure === error);
}
