import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { NatsDispatcher } from '../../src/index';
import { TestServer } from '../../src/testing';
import { BucketProbe } from '../support/bucket-probe';
import { eventually } from '../support/eventually';

/** `NAMES=100000 npx jest test/integration/many-names` plays it in full. */
const NAMES = Number(process.env.NAMES ?? 3_000);
const AT_ONCE = 500;
const BY_HAND = 1_000;
const FORGET_AFTER_MS = 5_000;
const A_MINUTE_MS = 60_000;

let server: TestServer;
let dispatcher: NatsDispatcher;
let probe: BucketProbe;

beforeAll(async () => {
  server = await TestServer.start();
  dispatcher = await NatsDispatcher.connect({ servers: server.url });
  await dispatcher.ready();
  probe = await BucketProbe.open(server.url);
});
afterAll(async () => {
  await dispatcher.close();
  await probe[Symbol.asyncDispose]();
  await server.stop();
});

async function useOnce(count: number, use: (name: string) => Promise<unknown>): Promise<void> {
  for (let begun = 0; begun < count; begun += AT_ONCE) {
    const names = Array.from({ length: Math.min(AT_ONCE, count - begun) }, (_, i) => `name ${begun + i}`);
    await Promise.all(names.map(use));
  }
}

it(`${NAMES} names used once with forgetAfter leave an empty bucket a minute later`, async () => {
  await useOnce(NAMES, (name) =>
    dispatcher.semaphore(name, 3, { forgetAfter: FORGET_AFTER_MS }).lock(60_000, () => undefined),
  );
  const since = performance.now();
  // Markers included: they go by themselves.
  await eventually(async () => expect(await probe.messages()).toBe(0), A_MINUTE_MS + 30_000);
  const tookMs = performance.now() - since;
  console.log(`${NAMES} names: the bucket was empty ${(tookMs / 1_000).toFixed(1)} s after the last use`);
  expect(tookMs).toBeLessThan(A_MINUTE_MS);
});

it(`${BY_HAND} names removed by hand leave no key`, async () => {
  await useOnce(BY_HAND, (name) => dispatcher.semaphore(name, 3).lock(60_000, () => undefined));
  expect(await probe.liveKeys()).toHaveLength(BY_HAND);
  await useOnce(BY_HAND, (name) => dispatcher.semaphore(name).remove());
  // The notices of the removals go by themselves.
  await eventually(async () => expect(await probe.liveKeys()).toEqual([]));
  expect(await dispatcher.list()).toEqual([]);
});
