import { connect } from '@nats-io/transport-node';
import { Redis } from 'ioredis';
import { Mutex, Semaphore } from 'redis-semaphore';
import Redlock from 'redlock';
import type { ConnectOptions } from '../src';
import { RawSlot } from './floor';
import { NatsDispatcher } from './library';

/** Longer than any crowd lasts: redis-semaphore gives up after 10 s by default, which says nothing about its speed. */
const PATIENCE_MS = 120_000;
const REDLOCK_TTL_MS = 10_000;

/** Who is measured, and where its server is. Plain data: it is sent to other processes. */
export type Contender =
  | { readonly kind: 'library'; readonly options: ConnectOptions }
  | { readonly kind: 'raw'; readonly url: string; readonly bucket: string }
  | { readonly kind: 'redis-semaphore'; readonly port: number; readonly retryInterval?: number }
  | { readonly kind: 'redlock'; readonly port: number };

export interface Spec {
  readonly name: string;
  readonly slots: number;
  readonly fair?: boolean;
  readonly retain?: number;
  readonly mutex?: boolean;
}

export type Release = () => Promise<unknown>;

export interface Client {
  /** A handle for one acquire at a time. */
  lock(spec: Spec): { acquire(): Promise<Release> };
  close(): Promise<void>;
}

/** A connection of a contender. */
export async function open(contender: Contender): Promise<Client> {
  switch (contender.kind) {
    case 'library': {
      const dispatcher = await NatsDispatcher.connect(contender.options);
      await dispatcher.ready();
      return {
        lock({ name, slots, mutex, ...options }) {
          const handle =
            mutex === true ? dispatcher.mutex(name, options) : dispatcher.semaphore(name, slots, options);
          return {
            async acquire() {
              const permit = await handle.acquire();
              return () => permit.release();
            },
          };
        },
        close: () => dispatcher.close(),
      };
    }
    case 'raw': {
      const connection = await connect({ servers: contender.url });
      return {
        lock({ name }) {
          const slot = new RawSlot(connection, contender.bucket, name);
          return {
            async acquire() {
              await slot.claim();
              return () => slot.release();
            },
          };
        },
        close: () => connection.close(),
      };
    }
    case 'redis-semaphore': {
      const redis = new Redis(contender.port, '127.0.0.1');
      const { retryInterval } = contender;
      const options = {
        acquireTimeout: PATIENCE_MS,
        ...(retryInterval === undefined ? {} : { retryInterval }),
      };
      return {
        lock({ name, slots, mutex }) {
          const handle =
            mutex === true ? new Mutex(redis, name, options) : new Semaphore(redis, name, slots, options);
          return {
            async acquire() {
              await handle.acquire();
              return () => handle.release();
            },
          };
        },
        close: async () => void (await redis.quit()),
      };
    }
    case 'redlock': {
      const redis = new Redis(contender.port, '127.0.0.1');
      const redlock = new Redlock([redis]);
      return {
        lock: ({ name }) => ({
          async acquire() {
            const lock = await redlock.acquire([name], REDLOCK_TTL_MS);
            return () => lock.release();
          },
        }),
        close: async () => void (await redis.quit()),
      };
    }
  }
}
