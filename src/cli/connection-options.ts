import { accessSync, constants, readFileSync } from 'node:fs';
import { InvalidArgumentError, Option } from 'commander';
import { NatsDispatcher } from '../api/dispatcher';
import type { ConnectOptions, DispatcherOptions } from '../api/options';
import { checkBucket } from '../api/option-checks';
import { DEFAULT_SERVER } from '../store/nats/server-urls';
import { type SignIn, authenticatorOf } from '../store/nats/sign-in';
import { UsageError } from './exit-codes';
import { secretFile } from './secret-file';

/** Where the server is and who asks, as given by flags or environment. */
export interface ConnectionFlags {
  readonly server?: string;
  readonly user?: string;
  readonly password?: string;
  readonly passwordFile?: string;
  readonly natsTokenFile?: string;
  readonly creds?: string;
  readonly nkey?: string;
  readonly tlscert?: string;
  readonly tlskey?: string;
  readonly tlsca?: string;
  readonly tlsfirst?: boolean;
  readonly inboxPrefix?: string;
  readonly bucket?: string;
  readonly storage?: 'file' | 'memory';
  readonly replicas?: number;
  readonly maxBytes?: number;
  readonly jsDomain?: string;
  readonly jsApiPrefix?: string;
}

/** Those of {@link connectionOptions} that say who connects. Also the wrapped command of `run` must not get their variables. */
export function loginOptions(): Option[] {
  return [
    new Option('--user <user>', 'user name, or a token if there is no password').env('NATS_USER'),
    new Option('--password <password>', 'password').env('NATS_PASSWORD'),
    new Option('--password-file <file>', 'file with the password').env('NATS_PASSWORD_FILE'),
    new Option('--nats-token-file <file>', 'file with a token, in place of user and password').env(
      'NATS_TOKEN_FILE',
    ),
    new Option('--creds <file>', 'user credentials').env('NATS_CREDS'),
    new Option('--nkey <file>', 'user nkey seed').env('NATS_NKEY'),
    new Option('--tlscert <file>', 'TLS certificate of this client').env('NATS_CERT'),
    new Option('--tlskey <file>', 'its private key').env('NATS_KEY'),
  ];
}

/**
 * The options of every command that talks to a server. Names, environment variables and meaning are those of the `nats`
 * command line; what that has no name for is called NATS_SEMAPHORE_... or, of the connection, NATS_....
 */
export function connectionOptions(): Option[] {
  return [
    new Option('-s, --server <urls>', 'NATS server urls, with commas between')
      .env('NATS_URL')
      .default(DEFAULT_SERVER),
    ...loginOptions(),
    new Option('--tlsca <file>', 'TLS certificate authority of the server').env('NATS_CA'),
    new Option('--tlsfirst', 'TLS handshake before the server says hello'),
    new Option('--inbox-prefix <prefix>', 'for users who may subscribe to no other inbox').env(
      'NATS_INBOX_PREFIX',
    ),
    new Option('--bucket <name>', 'KV bucket; created if absent (default: "SEMAPHORES")')
      .argParser(checkBucket)
      .env('NATS_SEMAPHORE_BUCKET'),
    new Option('--storage <kind>', 'of a bucket that has to be created (default: "file")')
      .choices(['file', 'memory'])
      .env('NATS_SEMAPHORE_STORAGE'),
    new Option('--replicas <n>', 'likewise: 1, 3 or 5 (default: 1)')
      .argParser(parseWhole)
      .env('NATS_SEMAPHORE_REPLICAS'),
    new Option('--max-bytes <n>', 'likewise: most bytes that it may take; some accounts require it')
      .argParser(parseWhole)
      .env('NATS_SEMAPHORE_MAX_BYTES'),
    new Option('--js-domain <domain>', 'JetStream domain in which the bucket is').env(
      'NATS_SEMAPHORE_JS_DOMAIN',
    ),
    new Option(
      '--js-api-prefix <prefix>',
      'what the subjects of the JetStream API begin with, if not $JS.API',
    ).env('NATS_SEMAPHORE_JS_API_PREFIX'),
  ].map(ignoringBlanks);
}

/** A blank variable of the environment is one that is not set, also where only some values are allowed. */
function ignoringBlanks(option: Option): Option {
  const { parseArg } = option;
  if (parseArg === undefined) return option;
  return option.argParser((text, previous) => (text.trim() === '' ? previous : parseArg(text, previous)));
}

/** A whole number as the library wants it; it says itself which are allowed. */
export function parseWhole(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

/** @throws UsageError if a file can not be read, or flags contradict each other */
export function connectOptionsOf(given: ConnectionFlags): ConnectOptions {
  const flags = withoutBlanks(given);
  const { bucket, inboxPrefix, maxBytes, replicas, storage } = flags;
  const signIn = signInOf(flags);
  const tls = tlsOf(flags);
  return {
    servers: flags.server,
    ...(signIn !== undefined && { authenticator: authenticatorOf(signIn) }),
    ...(tls !== undefined && { tls }),
    ...(inboxPrefix !== undefined && { inboxPrefix }),
    bucket,
    storage,
    replicas,
    maxBytes,
    ...jetStreamOf(flags),
  };
}

/** A variable of the environment that is empty is one that is not set. */
function withoutBlanks(flags: ConnectionFlags): ConnectionFlags {
  return Object.fromEntries(
    Object.entries(flags).filter(([, value]) => typeof value !== 'string' || value.trim() !== ''),
  );
}

/** Connects, does the work, and closes again. What is not settled within a few seconds of that is left to the ttl. */
export async function withDispatcher<T>(
  flags: ConnectionFlags,
  work: (dispatcher: NatsDispatcher) => Promise<T>,
  options: DispatcherOptions = {},
): Promise<T> {
  const dispatcher = await NatsDispatcher.connect({ ...connectOptionsOf(flags), ...options });
  try {
    return await work(dispatcher);
  } finally {
    await dispatcher.close();
  }
}

/** The first that is given, as the `nats` command line has it: a flag may well meet another in the environment. */
function signInOf(flags: ConnectionFlags): SignIn | undefined {
  const { creds, natsTokenFile, nkey, user } = flags;
  if (creds !== undefined) {
    readable('creds', creds);
    return { creds: () => readFileSync(creds) };
  }
  if (nkey !== undefined) {
    seedOf(nkey);
    return { nkeySeed: () => seedOf(nkey) };
  }
  if (natsTokenFile !== undefined) return { token: secretFile('nats-token-file', natsTokenFile) };
  const password =
    flags.passwordFile === undefined ? flags.password : secretFile('password-file', flags.passwordFile);
  if (user === undefined) {
    if (password !== undefined) throw new UsageError('--password and --password-file need --user');
    return undefined;
  }
  return password === undefined ? { token: user } : { user, password };
}

/** Where JetStream is. A variable that is empty counts as not set. */
function jetStreamOf({
  jsApiPrefix,
  jsDomain,
}: ConnectionFlags): Pick<ConnectOptions, 'domain' | 'apiPrefix'> {
  const [domain, apiPrefix] = [jsDomain || undefined, jsApiPrefix || undefined];
  if (domain !== undefined && apiPrefix !== undefined) {
    throw new UsageError('--js-domain and --js-api-prefix exclude each other');
  }
  return { domain, apiPrefix };
}

function tlsOf({ tlsca, tlscert, tlsfirst, tlskey }: ConnectionFlags): ConnectOptions['tls'] {
  if ((tlscert === undefined) !== (tlskey === undefined)) {
    throw new UsageError('--tlscert and --tlskey belong together');
  }
  if (tlsca === undefined && tlscert === undefined && tlsfirst !== true) return undefined;
  return {
    ...(tlscert !== undefined && { certFile: readable('tlscert', tlscert) }),
    ...(tlskey !== undefined && { keyFile: readable('tlskey', tlskey) }),
    ...(tlsca !== undefined && { caFile: readable('tlsca', tlsca) }),
    ...(tlsfirst === true && { handshakeFirst: true }),
  };
}

function readable(flag: string, path: string): string {
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    throw new UsageError(`--${flag}: ${(error as Error).message}`, { cause: error });
  }
  return path;
}

/** The seed alone: such files may have comments and blank lines around it. */
function seedOf(path: string): Uint8Array {
  const seed = /^\s*(SU[A-Z2-7]+)\s*$/m.exec(readFileSync(readable('nkey', path), 'utf8'))?.[1];
  if (seed === undefined) throw new UsageError(`--nkey: ${path} has no seed of a user ("SU...")`);
  return Buffer.from(seed);
}
