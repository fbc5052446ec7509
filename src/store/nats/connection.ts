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
 * The headers of a message, line by line, whatever is in them: both clients throw when they meet a name or a value that they would
 * not write themselves. Neither declares where the bytes are; it is the same place in both.
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
 * What is used of a connection: the part that `nats` 2.x and `@nats-io/transport-node` 3.x have in common. A connection
 * of either is assignable to it.
 */
export interface NatsConnection {
  readonly info?: { readonly version: string; readonly jetstream?: boolean; readonly domain?: string };
  /** Not declared by either client, and there in both: what it was opened with. */
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
 * The connection as `@nats-io/*` takes it. A 2.x connection lacks some of the declared members; none of those is used
 * by the calls made here, and the tests make all of them through both clients.
 */
export function asVersion3(connection: NatsConnection): NatsConnection3 {
  return connection as unknown as NatsConnection3;
}

const USED = ['closed', 'close', 'isClosed', 'publish', 'status', 'subscribe'] as const;

/**
 * Refuses what is no connection, without showing it: options may hold passwords.
 * @throws TypeError that says what it is instead and what to do
 */
export function checkConnection(connection: unknown): NatsConnection {
  if (typeof connection === 'object' && connection !== null) {
    const members = connection as Record<string, unknown>;
    if (USED.every((member) => typeof members[member] === 'function')) return connection as NatsConnection;
    if (typeof members.then === 'function') {
      // The caller learns of this mistake; that the promise fails later must not end the process beside that.
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
