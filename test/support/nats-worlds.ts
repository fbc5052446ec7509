import { Kvm } from '@nats-io/kv';
import { type DispatcherOptions, NatsDispatcher } from '../../src';
import { openConnection } from '../../src/store/nats/connect';
import type { NatsConnection } from '../../src/store/nats/connection';
import { NatsStore } from '../../src/store/nats/nats-store';
import type { SemaphoreWorld } from '../suites/semaphore-suite';
import type { StoreWorld } from '../suites/store-suite';
import { BucketProbe } from './bucket-probe';

let buckets = 0;

/** Clients of one new bucket, each with a connection of its own. */
export function natsStoreWorld(servers: string | string[], replicas = 1): StoreWorld {
  const bucket = `B${++buckets}`;
  const connections: NatsConnection[] = [];
  return {
    open: async () => {
      const connection = await openConnection({ servers });
      connections.push(connection);
      return new NatsStore(connection, { bucket, replicas });
    },
    close: async () => {
      await Promise.all(connections.map((connection) => connection.close()));
    },
  };
}

/**
 * Dispatchers on one new bucket, each with a connection of its own, and an ordinary KV client beside them.
 * @param clients where the dispatchers connect, if not to the servers that have the bucket
 */
export async function natsSemaphoreWorld(
  servers: string | string[],
  replicas = 1,
  defaults: DispatcherOptions = {},
  clients = servers,
): Promise<SemaphoreWorld> {
  const bucket = `S${++buckets}`;
  const probe = await BucketProbe.open(servers, bucket);
  const kv = await new Kvm(probe.connection).open(bucket);
  return {
    late: defaults.retain !== undefined,
    open: async (options) => {
      const dispatcher = await NatsDispatcher.connect({
        servers: clients,
        bucket,
        replicas,
        ...defaults,
        ...options,
      });
      await dispatcher.ready();
      return dispatcher;
    },
    put: async (key, value) => {
      if (value === null) await kv.purge(key);
      else await kv.put(key, value);
    },
    keys: () => probe.liveKeys(),
    close: () => probe[Symbol.asyncDispose](),
  };
}
