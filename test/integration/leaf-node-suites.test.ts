import { afterAll, beforeAll } from '@jest/globals';
import { latchSuite } from '../suites/latch-suite';
import { mutexSuites } from '../suites/mutex-suite';
import { readWriteSuite } from '../suites/read-write-suite';
import { type SemaphoreWorld, semaphoreSuite } from '../suites/semaphore-suite';
import { HUB, HubAndLeaf } from '../support/leaf-node';
import { natsSemaphoreWorld } from '../support/nats-worlds';

let servers: HubAndLeaf;

beforeAll(async () => {
  servers = await HubAndLeaf.start();
});
afterAll(() => servers[Symbol.asyncDispose]());

/** The bucket is at the hub, all clients of the library are at the leaf. */
const world = (): Promise<SemaphoreWorld> =>
  natsSemaphoreWorld(servers.hub.url, 1, { domain: HUB }, servers.leaf.url);

semaphoreSuite('through a leaf node', world);
mutexSuites('through a leaf node', world);
readWriteSuite('through a leaf node', world);
latchSuite('through a leaf node', world);
