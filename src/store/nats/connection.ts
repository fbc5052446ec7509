import type { NatsConnection as NatsConnection3 } from '@nats-io/nats-core';

/** A message as both clients deliver it. */
export interface Message {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers?: MessageHeaders;
}

export interface MessageHeaders extends Iterable<[string, string[]]> {
  get(name: string): string;
  readonly code: number;
}

/**
 * The headers of a message, line by line, whatever they contain. Both clients throw if a name or a value is one that they would
 * not write themselves. Neither client declares where the bytes are; it is the same place in both.
 */
export function rawHeaders(message: Message): [string, string[]][] {
  const { _rdata: bytes, _msg: frame } = message as { _rdata?: Uint8Array; _msg?: { hdr?: number } };
  if (bytes === undefined || frame?.hdr === undefined) return [];
  const lines = Buffer.from(bytes.subarray(0, Math.max(0, frame.hdr)))
    .toString('utf8')
    .split('\r\n');
  return lines.slice(1).flatMap((line): [string, string[]][] => {
    const colon = line.indexOf(':');
    return colon < 0 ? [] : [[line.slice(0, colon), [line.slice(colon + 1).trim()]]];
  });
}

export interface Subscription {
  unsubscribe(): void;
}

/**
 * A NATS connection, as far as this library uses it: the part that `nats` 2.x and `@nats-io/transport-node` 3.x have in common. A
 * connection of either is assignable to it.
 */
export interface NatsConnection {
  readonly info?: { readonly version: string; readonly jetstream?: boolean; readonly domain?: string };
  /** The options that the connection was opened with. Neither client declares them; both have them. */
  readonly options?: { readonly inboxPrefix?: string };
  isClosed(): boolean;
  close(): Promise<void>;
  closed(): Promise<void | Error>;
  flush(): Promise<void>;
  publish(subject: string, payload?: Uint8Array, options?: object): void;
  subscribe(subject: string, options?: object): Subscription;
  status(): AsyncIterable<{ readonly type: string }>;
}

/**
 * The connection as `@nats-io/*` takes it. A 2.x connection lacks some of the declared members. The calls made here use none of
 * these, and the tests make all calls through both clients.
 */
export function asVersion3(connection: NatsConnection): NatsConnection3 {
  return connection as unknown as NatsConnection3;
}

const USED = ['closed', 'close', 'isClosed', 'publish', 'status', 'subscribe'] as const;

/**
 * Refuses a value that is no connection, without showing the value: options may contain passwords.
 * @throws TypeError that names the kind of value, and says what to do
 */
export function checkConnection(connection: unknown): NatsConnection {
  if (typeof connection === 'object' && connection !== null) {
    const members = connection as Record<string, unknown>;
    if (USED.every((member) => typeof members[member] === 'function')) return connection as NatsConnection;
    if (typeof members.then === 'function') {
      // The caller gets the error below. A later rejection of the promise must not end the process as well.
      void Promise.resolve(connection as Promise<unknown>).catch(() => undefined);
    }
  }
  throw new TypeError(`connection must be an open NATS connection, got ${instead(connection)}`);
}

function instead(value: unknown): string {
  const advice = 'await NatsDispatcher.connect({ servers })';
  if (typeof value === 'string') return `a string: to connect to a server use ${advice}`;
  if (typeof value !== 'object' || value === null)
    return `${value === null ? 'null' : typeof value}: use ${advice}`;
  if ('then' in value)
    return `a promise: await it first, as in new NatsDispatcher(await connect(...)) or ${advice}`;
  if ('semaphore' in value) return 'a dispatcher: use it as it is';
  return `an object that is none: to connect with options use ${advice}`;
}
