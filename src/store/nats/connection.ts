import type { NatsConnection as NatsConnection3 } from '@nats-io/nats-core';

/** A message as both clients deliver it. */
export interface Message {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers?: MessageHeaders;
}

export interface MessageHeaders {
  get(name: string): string;
  readonly code: number;
}

export interface Subscription {
  unsubscribe(): void;
}

/**
 * What is used of a connection: the part that `nats` 2.x and `@nats-io/transport-node` 3.x have in common. A connection
 * of either is assignable to it.
 */
export interface NatsConnection {
  readonly info?: { readonly version: string; readonly jetstream?: boolean };
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
