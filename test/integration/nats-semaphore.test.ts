import { afterAll, beforeAll } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { latchSuite } from '../suites/latch-suite';
import { mutexSuites } from '../suites/mutex-suite';
import { readWriteSuite } from '../suites/read-write-suite';
import { semaphoreSuite } from '../suites/semaphore-suite';
import { removalSuite } from '../suites/removal-suite';
import { signalSuite } from '../suites/signal-suite';
import { natsSemaphoreWorld } from '../support/nats-worlds';

const RETAINING = { retain: 300 };

let server: TestServer;

beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server.stop());

semaphoreSuite('on NATS, one server', () => natsSemaphoreWorld(server.url));
mutexSuites('on NATS, one server', () => natsSemaphoreWorld(server.url));
semaphoreSuite('on NATS, slots retained', () => natsSemaphoreWorld(server.url, 1, RETAINING));
mutexSuites('on NATS, slots retained', () => natsSemaphoreWorld(server.url, 1, RETAINING));
readWriteSuite('on NATS, one server', () => natsSemaphoreWorld(server.url));
latchSuite('on NATS, one server', () => natsSemaphoreWorld(server.url));
signalSuite('on NATS, one server', () => natsSemaphoreWorld(server.url));
removalSuite('on NATS, one server', () => natsSemaphoreWorld(server.url));
