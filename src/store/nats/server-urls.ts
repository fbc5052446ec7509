import { isIPv6 } from 'node:net';
import type { SignIn } from './sign-in';

/** The server to connect to if none is given. */
export const DEFAULT_SERVER = 'localhost:4222';
const DEFAULT_PORT = 4222;
const MAX_PORT = 65_535;

/** The content of server URLs: the addresses, the login, and whether to use TLS. */
export interface ServerList {
  /** `host:port` of each server, without user, password or token: fit for messages, and for the client. */
  readonly addresses: readonly string[];
  /** The login that the URLs carry. One connection has one login, so it is the same for all servers. */
  readonly login?: SignIn;
  /** Whether one of the URLs is `tls://`. If so, all connections use TLS. */
  readonly tls: boolean;
}

/**
 * The given URLs: a string is split at commas, an array contains such strings. Blank URLs do not count, so that an
 * empty variable is the same as one that is not set.
 * @throws TypeError if `servers` is neither
 */
export function listUrls(servers: unknown): string[] {
  const items: unknown[] = Array.isArray(servers) ? servers : [servers ?? ''];
  return items.flatMap((item) => {
    if (typeof item !== 'string')
      throw new TypeError(`servers must be a string or an array of strings, got ${nameOf(item)}`);
    return item
      .split(',')
      .map((url) => url.trim())
      .filter((url) => url !== '');
  });
}

/**
 * Reads server URLs: `host`, `host:port`, `nats://...` or `tls://...`, with `user:password@` or `token@` before the host, and
 * with brackets around an IPv6 address that a port follows. The text before the `@` is percent-encoded.
 *
 * No error shows any of the text: a mistyped part may be a password.
 * @throws RangeError that says which URL is wrong, how, and what is allowed; TypeError for a value that is no text
 */
export function parseServers(servers: unknown): ServerList {
  const parsed = listUrls(servers).map(parseUrl);
  const logins = new Map(parsed.flatMap(({ login }) => (login ? [[JSON.stringify(login), login]] : [])));
  if (logins.size > 1) {
    throw new RangeError(
      'servers must all have the same user and password or token: one connection has one login. ' +
        'Give it in one of the URLs, or as an option of its own',
    );
  }
  const [login] = logins.values();
  return {
    addresses: parsed.map(({ address }) => address),
    ...(login !== undefined && { login }),
    tls: parsed.some(({ tls }) => tls),
  };
}

interface ParsedUrl {
  readonly address: string;
  readonly login: SignIn | undefined;
  readonly tls: boolean;
}

function parseUrl(url: string, index: number): ParsedUrl {
  const [, scheme = 'nats', rest = ''] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(.*)$/is.exec(url) ?? [];
  const refuse = (why: string): never => {
    throw new RangeError(
      `servers[${index}] ${why}. Allowed is host, host:port, nats://host:port or tls://host:port, ` +
        'with user:password@ or token@ before the host, percent-encoded',
    );
  };
  // A comma inside a password separates, too. The rest of the password must not count as a host, and be shown as one.
  if (index > 0 && rest === url && url.includes('@'))
    refuse('has a login and no nats:// or tls:// before it. A comma in a password is written as %2C');
  const kind = scheme.toLowerCase();
  if (kind === 'ws' || kind === 'wss') {
    refuse(
      `is a ${kind}:// URL: the connection that this package makes can not do websockets. Hand over one that can: ` +
        `new NatsDispatcher(await wsconnect(...)) of @nats-io/nats-core`,
    );
  }
  if (kind !== 'nats' && kind !== 'tls') refuse('begins with another scheme than nats:// or tls://');
  // The last @ counts, as in other URL parsers: an unencoded @ before it is part of the password.
  const at = rest.lastIndexOf('@');
  return {
    address: addressOf(rest.slice(at + 1), refuse),
    login: at < 0 ? undefined : loginOf(rest.slice(0, at), refuse),
    tls: kind === 'tls',
  };
}

function addressOf(text: string, refuse: (why: string) => never): string {
  const bare = text.replace(/\/$/, '');
  if (isIPv6(bare)) return `[${bare}]:${DEFAULT_PORT}`;
  const [, bracketed, name, port] = /^(?:\[([^\]]*)\]|([^:[\]/?#\\\s]+))(?::(\d+))?$/.exec(bare) ?? [];
  if (bracketed === undefined && name === undefined)
    refuse('is not the address of a server: host and port, and nothing behind them');
  if (bracketed !== undefined && !isIPv6(bracketed)) refuse('has no IPv6 address in its brackets');
  const number = port === undefined ? DEFAULT_PORT : Number(port);
  if (number < 1 || number > MAX_PORT) refuse(`has a port that is not from 1 to ${MAX_PORT}`);
  const address = `${bracketed === undefined ? name : `[${bracketed}]`}:${number}`;
  // The client parses the address in the same way, and would fail on an invalid one.
  if (!URL.canParse(`http://${address}`)) refuse('has a host name that can not be one');
  return address;
}

function loginOf(text: string, refuse: (why: string) => never): SignIn | undefined {
  if (text === '') return undefined;
  try {
    const colon = text.indexOf(':');
    if (colon < 0) return { token: decodeURIComponent(text) };
    return {
      user: decodeURIComponent(text.slice(0, colon)),
      password: decodeURIComponent(text.slice(colon + 1)),
    };
  } catch {
    return refuse('has a % in its user, password or token that is not percent-encoded (%25)');
  }
}

function nameOf(value: unknown): string {
  return value === null ? 'null' : typeof value;
}
