import { afterAll, beforeAll } from '@jest/globals';
import { openConnection } from '../../src/store/nats/connect';
import type { NatsConnection } from '../../src/store/nats/connection';
import { NatsStore } from '../../src/store/nats/nats-store';
import { TestServer } from '../../src/testing';
import { storeSuite } from '../suites/store-suite';

let server: TestServer;
let buckets = 0;

beforeAll(async () => {
  server = await TestServer.start();
});

afterAll(() => server.stop());

storeSuite('NATS, one server', async () => {
  const bucket = `B${++buckets}`;
  const connections: NatsConnection[] = [];
  return {
    open: async () => {
      const connection = await openConnection({ servers: server.url });
      connections.push(connection);
      return new NatsStore(connection, { bucket });
    },
    close: async () => {
      await Promise.all(connections.map((connection) => connection.close()));
    },
  };
});
