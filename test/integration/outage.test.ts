import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type Dispatcher, NatsDispatcher, type Permit } from '../../src';
import { TestServer } from '../../src/testing';
import { eventually } from '../support/eventually';
import { Proxy } from '../support/proxy';

let server: TestServer;
let a: NatsDispatcher;
let b: NatsDispatcher;
let told: string[];

beforeEach(async () => {
  server = await TestServer.start();
  told = [];
  a = await open('a');
  b = await open('b');
});

afterEach(async () => {
  await Promise.all([a.close(), b.close()]);
  await server.stop();
});

async function open(who: string, servers = server.url): Promise<NatsDispatcher> {
  const dispatcher = await NatsDispatcher.connect({ servers, onUnavailable: 'local', ttl: 5_000 });
  dispatcher.on('degraded', ({ cause }) =>
    told.push(`${who} degraded ${(cause as { code?: string }).code ?? ''}`),
  );
  dispatcher.on('restored', ({ afterMs }) => told.push(`${who} restored ${afterMs > 0}`));
  return dispatcher;
}

const toldOf = (who: string): string[] => told.filter((line) => line.startsWith(who));
const isRestored = (...all: Dispatcher[]): Promise<void> =>
  eventually(() => expect(all.map(({ isDegraded }) => isDegraded)).toEqual(all.map(() => false)), 20_000);

describe('onUnavailable: "local", with a server that is killed and started again', () => {
  it('grants within each process, by the same limit, and says so; and for all again when the server is back', async () => {
    const semaphores = [a, b].map((dispatcher) => dispatcher.semaphore('pool', 2));
    const [one, two] = semaphores as [(typeof semaphores)[0], (typeof semaphores)[0]];
    await (await one.lock(5_000)).release();
    await (await two.lock(5_000)).release();
    await one.setPermits(3);
    await eventually(async () => expect(await two.availablePermits()).toBe(3));
    await (await two.lock(5_000)).release();
    const real = await one.lock(5_000);
    await server.kill();

    const local = await Promise.all([1, 2, 3].map(() => one.lock(10_000)));
    expect(toldOf('a')).toEqual([expect.stringContaining('a degraded')]);
    expect([a.isDegraded, b.isDegraded]).toEqual([true, false]);
    // Three of its own beside the one that the server knows of; no fourth.
    expect(local.every(({ isHeld }) => isHeld)).toBe(true);
    expect(await one.tryAcquire()).toBeNull();
    await expect(one.lock(50)).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
    for (const { fencingToken } of local) expect(fencingToken).toBeLessThan(real.fencingToken);
    // The other process knows the limit that was set later, too.
    const others = await Promise.all([1, 2, 3].map(() => two.lock(10_000)));
    expect(await two.tryAcquire()).toBeNull();

    // One waits locally when the server comes back: it is served by the server.
    const waiting = one.lock(30_000);
    await server.restart();
    await isRestored(a, b);
    const next = await waiting;
    expect(next.fencingToken).toBeGreaterThan(real.fencingToken);
    // Local ones are held on, and released for good.
    expect([...local, ...others].map(({ isHeld }) => isHeld)).toEqual(Array.from({ length: 6 }, () => true));
    const released = await Promise.all([...local, ...others].map((permit) => permit.release()));
    expect(released).toEqual(Array.from({ length: 6 }, () => true));
    await next.release();
    await real.release();
    expect(toldOf('a')).toHaveLength(2);
    expect(toldOf('b')).toEqual([expect.stringContaining('b degraded'), 'b restored true']);
    await eventually(async () => expect(await two.availablePermits()).toBe(3));
  });

  it('moves over who waits for the server, and keeps local holds past their ttl', async () => {
    const mutex = a.mutex('m', { reentrant: true });
    const blocker = await b.mutex('m').lock(5_000);
    const waiting = mutex.lock(30_000);
    await server.kill();
    const local = await waiting;
    expect(local.fencingToken).toBeLessThan(blocker.fencingToken);
    expect((await mutex.lock(1_000)).id).toBe(local.id);
    // Longer than the ttl: it renews itself, and nobody else of this process gets in.
    const other = a.mutex('m').lock({ timeout: 6_000 });
    await expect(other).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
    expect(local.isHeld).toBe(true);
    await server.restart();
    await isRestored(a);
  });

  it('refuses what has no local side, and what looks at the server', async () => {
    const semaphore = a.semaphore('pool', 2);
    await (await semaphore.lock(5_000)).release();
    await server.kill();
    const permit = await semaphore.tryAcquire();
    expect([permit?.isHeld, a.isDegraded]).toEqual([true, true]);
    const unavailable = { code: 'BACKEND_UNAVAILABLE' };
    await expect(a.acquireAll([{ semaphore }], { timeout: 200 })).rejects.toMatchObject(unavailable);
    await expect(a.latch('l').wait({ timeout: 200 })).rejects.toMatchObject(unavailable);
    // Closing ends it all, also while the server is away.
    const waiting = semaphore.lock({ count: 2 });
    const closed = expect(waiting).rejects.toMatchObject({ code: 'DISPATCHER_CLOSED' });
    await a.close();
    await closed;
    expect(permit?.isHeld).toBe(false);
  });
});

describe('onUnavailable', () => {
  it('notices a server that is connected and silent', async () => {
    const proxy = await Proxy.start(server.port);
    const c = await open('c', proxy.url);
    await (await c.mutex('m').lock(5_000)).release();
    proxy.stall();
    const permit = await c.mutex('m').lock(20_000);
    expect(toldOf('c')).toHaveLength(1);
    proxy.cut();
    await isRestored(c);
    const real: Permit = await c.mutex('m').lock(10_000);
    expect(real.fencingToken).toBeGreaterThan(permit.fencingToken);
    await Promise.all([real.release(), permit.release()]);
    await c.close();
    await proxy.stop();
  });

  it('does nothing while the server only says that nothing is free', async () => {
    const held = await b.mutex('m').lock(5_000);
    await expect(a.mutex('m').lock(4_000)).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
    expect([told, a.isDegraded, held.isHeld]).toEqual([[], false, true]);
    await held.release();
  });

  it('is "reject" unless asked for, and nothing else than these', async () => {
    await using c = await NatsDispatcher.connect({ servers: server.url });
    await c.ready();
    await server.kill();
    await expect(c.mutex('m').lock(4_000)).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    expect(c.isDegraded).toBe(false);
    await server.restart();
    await expect(
      NatsDispatcher.connect({ servers: server.url, onUnavailable: 'maybe' as 'local' }),
    ).rejects.toThrow('onUnavailable must be "reject" or "local", got "maybe"');
  });
});
