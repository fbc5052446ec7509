import { afterAll, beforeAll } from '@jest/globals';
import { Kvm } from '@nats-io/kv';
import { connect } from '@nats-io/transport-node';
import { NatsDispatcher } from '../../src';
import { TestServer } from '../../src/testing';
import { semaphoreSuite } from '../suites/semaphore-suite';

let server: TestServer;
let buckets = 0;

beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server.stop());

semaphoreSuite('on NATS, one server', async () => {
  const bucket = `S${++buckets}`;
  const connection = await connect({ servers: server.url });
  // An ordinary KV client: the bucket is an ordinary KV bucket.
  const kv = await new Kvm(connection).open(bucket);
  return {
    open: async (options) => {
      const dispatcher = await NatsDispatcher.connect({ servers: server.url, bucket, ...options });
      await dispatcher.ready();
      return dispatcher;
    },
    put: async (key, value) => {
      if (value === null) await kv.purge(key);
      else await kv.put(key, value);
    },
    keys: async () => {
      const keys: string[] = [];
      for await (const key of await kv.keys()) keys.push(key);
      return keys;
    },
    close: () => connection.close(),
  };
});
