import { afterAll, beforeAll } from '@jest/globals';
import { TestCluster } from '../../src/testing';
import { readWriteSuite } from '../suites/read-write-suite';
import { semaphoreSuite } from '../suites/semaphore-suite';
import { storeSuite } from '../suites/store-suite';
import { natsSemaphoreWorld, natsStoreWorld } from '../support/nats-worlds';

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await TestCluster.start();
});
afterAll(() => cluster.stop());

storeSuite('NATS, three replicas', async () => natsStoreWorld([...cluster.urls], 3));
semaphoreSuite('on NATS, three replicas', () => natsSemaphoreWorld([...cluster.urls], 3));
readWriteSuite('on NATS, three replicas', () => natsSemaphoreWorld([...cluster.urls], 3));
