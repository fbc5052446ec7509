import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Keys } from '../../src/protocol/keys';
import { settle } from '../support/fake-clock';
import { Lab } from '../support/lab';

const RETAIN_MS = 1_000;

let lab: Lab;

beforeEach(() => {
  lab = new Lab(undefined, undefined, RETAIN_MS);
});

afterEach(() => lab.close());

describe('waiters of one process that take a kept slot from one another', () => {
  it('go on for `retain` ms at most while the wish of another process is not heard', async () => {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    let over = false;
    let served = 0;
    const work = async (): Promise<void> => {
      while (!over) {
        const permit = await a.semaphore.lock();
        await new Promise<void>((resolve) => lab.clock.after(5, resolve));
        await permit.release();
        served++;
      }
    };
    for (let i = 0; i < 3; i++) work().catch(() => undefined);
    await lab.clock.advance(RETAIN_MS / 2);
    a.wire.loseAnnouncements(true);
    const from = lab.clock.now();
    let waited = Infinity;
    void b.semaphore.lock().then(() => (waited = lab.clock.now() - from));
    await lab.clock.advance(2 * RETAIN_MS);
    over = true;
    expect(served).toBeGreaterThan(50);
    expect(waited).toBeLessThanOrEqual(RETAIN_MS + 50);
  });
});

describe('a kept slot', () => {
  it('is not granted to who gives up before he can hear of it', async () => {
    const { semaphore } = lab.client('s', 1, 30_000);
    await (await semaphore.lock()).release();
    const abort = new AbortController();
    const given = semaphore.lock({ signal: abort.signal });
    abort.abort(new Error('not needed'));
    await expect(given).rejects.toThrow('not needed');
    await settle();
    expect(await semaphore.availablePermits()).toBe(1);
  });

  it('is not granted to anybody once the engine is closed', async () => {
    const { engines, semaphore } = lab.client('s', 1, 30_000);
    await (await semaphore.lock()).release();
    const given = semaphore.lock();
    const closing = engines.close();
    await expect(given).rejects.toMatchObject({ code: 'DISPATCHER_CLOSED' });
    await closing;
  });

  it('is given back although the note that it is kept was given up before it was sent', async () => {
    const client = lab.client('s', 1, 600_000);
    await (await client.semaphore.lock()).release();
    client.wire.cut();
    // The note is due after 100 ms, and the slot is to be given back while nothing gets through.
    await lab.clock.advance(2 * RETAIN_MS);
    client.wire.mend();
    await lab.clock.advance(RETAIN_MS);
    const [entry] = await lab.store.read([new Keys('sem', 's').slot(0)]);
    expect(entry?.value ?? null).toBeNull();
  });

  it('is nobody to take it from', async () => {
    const { semaphore } = lab.client('s', 1, 30_000);
    const permit = await semaphore.lock();
    // A slot is kept only by a client that hears of changes.
    await lab.clock.advance(1);
    await permit.release();
    expect(await semaphore.forceRelease(permit.id)).toBe(false);
    expect(await semaphore.status()).toMatchObject({ kept: [{ slot: 0 }] });
  });

  it('says to the next waiter since when it was free', async () => {
    const { context, engines } = lab.client('s', 1, 30_000);
    const engine = engines.get(new Keys('sem', 's'), 's');
    const want = { count: 1, ttl: 30_000, autoRenew: true, metadata: undefined, fair: false, slots: 1 };
    const acquire = () => engine.acquire({ ...want, retain: RETAIN_MS, limitPolicy: 'adopt' }, {});
    const first = await acquire();
    const next = acquire();
    await lab.clock.advance(50);
    const releasedAt = context.clock.now();
    await first.release();
    expect((await next).freeSince).toBe(releasedAt);
    expect((await next).held[0]).toMatchObject({ revision: first.held[0]?.revision });
  });
});

it('close during the first claim leaves no timer behind', async () => {
  const left = new Map<number, number>();
  for (let steps = 0; steps < 12; steps++) {
    const own = new Lab(undefined, undefined, RETAIN_MS);
    const { context, engines, semaphore, wire } = own.client('s', 1, 30_000);
    const outcome = semaphore.lock().catch(() => undefined);
    for (let i = 0; i < steps; i++) await Promise.resolve();
    wire.delayAnswers();
    await settle();
    const closing = engines.close();
    await settle();
    wire.deliverAnswers();
    await Promise.all([closing, outcome]);
    await context.background.settled();
    await own.close();
    if (own.clock.pending > 0) left.set(steps, own.clock.pending);
  }
  expect(left).toEqual(new Map());
});
