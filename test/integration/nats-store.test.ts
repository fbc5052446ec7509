import { afterAll, beforeAll } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { storeSuite } from '../suites/store-suite';
import { natsStoreWorld } from '../support/nats-worlds';

let server: TestServer;

beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server.stop());

storeSuite('NATS, one server', async () => natsStoreWorld(server.url));
