import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { NatsDispatcher } from '../../src';
import { TestServer } from '../../src/testing';
import { BucketProbe } from '../support/bucket-probe';
import { eventually } from '../support/eventually';
import { Proxy } from '../support/proxy';
import { randomFrom } from '../support/random';

const CLIENTS = 50;
const WAITERS = 5;
const TOTAL = 10_000;
/** Calls that each client has under way. */
const SIDE_BY_SIDE = 8;
const seed = Number(process.env.SEED ?? (Math.random() * 2 ** 32) >>> 0);

let server: TestServer;
let proxy: Proxy;

beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server.stop());
beforeEach(async () => {
  proxy = await Proxy.start(server.port);
});
afterEach(() => proxy.stop());

describe(`a latch counted down from ${TOTAL} over ${CLIENTS} connections while answers are lost`, () => {
  it('reaches zero exactly: waiters wake once, none early, and nothing is left', async () => {
    const random = randomFrom(seed);
    const far = await Promise.all(
      Array.from({ length: CLIENTS }, () => NatsDispatcher.connect({ servers: proxy.url })),
    );
    const near = await Promise.all(
      Array.from({ length: WAITERS }, () => NatsDispatcher.connect({ servers: server.url })),
    );
    // Half of those who wait hear of it over the bad link.
    const waiters = [...near, ...far.slice(0, WAITERS)];
    let wokenBy: number[] = [];
    const startedAt = performance.now();
    const woken = waiters.map((dispatcher, i) =>
      dispatcher
        .latch('l', TOTAL)
        .wait()
        .then(() => wokenBy.push(i)),
    );
    const latches = far.map((dispatcher) => dispatcher.latch('l', TOTAL));
    let counted = 0;
    const each = TOTAL / CLIENTS - 1;
    const counting = latches.map(async (latch) => {
      let calls = 0;
      const oneByOne = async (): Promise<void> => {
        while (calls++ < each) {
          await latch.countDown();
          counted++;
        }
      };
      await Promise.all(Array.from({ length: SIDE_BY_SIDE }, oneByOne));
    });
    let running = true;
    const done = Promise.all(counting).finally(() => (running = false));
    let faults = 0;
    while (running) {
      await Promise.race([done, pause(50 + random() * 300)]);
      if (!running || faults === 5) break;
      proxy.swallowAnswers();
      await pause(20 + random() * 200);
      proxy.cut();
      faults++;
    }
    await done;
    // All but one of each client: nobody may be awake.
    expect(counted).toBe(TOTAL - CLIENTS);
    expect(await near[0]!.latch('l').count()).toBe(CLIENTS);
    expect(wokenBy).toEqual([]);

    const left = await Promise.all(latches.map((latch) => latch.countDown()));
    expect(Math.min(...left)).toBe(0);
    await Promise.all(woken);
    wokenBy = [...wokenBy].sort((x, y) => x - y);
    expect(wokenBy).toEqual(waiters.map((_, i) => i));
    const finds = near.reduce((sum, { diagnostics }) => sum + diagnostics.feed.safetyFinds, 0);
    console.log(
      `seed ${seed}: ${TOTAL} counted in ${(performance.now() - startedAt).toFixed(0)} ms over ${faults} faults`,
    );
    expect(faults).toBeGreaterThan(0);
    expect(finds).toBe(0);

    await using probe = await BucketProbe.open(server.url);
    await eventually(async () => expect(await probe.liveKeys()).toEqual(['latch.l.count']));
    await Promise.all([...near, ...far].map((dispatcher) => dispatcher.close()));
  }, 120_000);
});

describe('a latch on a server that goes away', () => {
  it('counts on and wakes when it is back; a wait fails in time', async () => {
    await using own = await TestServer.start();
    await using a = await NatsDispatcher.connect({ servers: own.url });
    await using b = await NatsDispatcher.connect({ servers: own.url });
    const latch = a.latch('l', 3);
    expect(await latch.countDown()).toBe(2);
    const waiting = b.latch('l').wait({ timeout: 60_000 });
    await own.kill();
    await expect(b.latch('l').wait({ timeout: 200 })).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
    });
    await expect(b.latch('l').wait({ timeout: 0 })).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    const counting = Promise.all([latch.countDown(), latch.countDown()]);
    await own.restart();
    expect(await counting).toEqual([1, 0]);
    await waiting;
  });
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
