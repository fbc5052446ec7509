import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { occupancy } from '../support/occupancy';
import { WorkerProcess } from '../support/worker-process';

const PAIRS = [
  ['2.x', '3.x'],
  ['3.x', '2.x'],
  ['2.x', '2.x'],
] as const;

let server: TestServer;

beforeAll(async () => {
  server = await TestServer.start();
});

afterAll(async () => {
  await server.stop();
});

describe.each(PAIRS)('a connection of nats %s and one of %s', (first, second) => {
  const name = `${first} ${second}`;

  function pair(): Promise<[WorkerProcess, WorkerProcess]> {
    const start = (client: '2.x' | '3.x') => WorkerProcess.start({ url: server.url, client });
    return Promise.all([start(first), start(second)]);
  }

  it('hand a slot over to each other', async () => {
    const [one, two] = await pair();
    let held = await one.request('acquire', { name });
    let [from, to] = [one, two];
    for (let i = 0; i < 6; i++) {
      expect(await to.request('tryAcquire', { name })).toBeNull();
      const waiting = to.request('acquire', { name, options: { timeout: 5_000 } });
      expect(await from.request('release', { permit: held.permit })).toMatchObject({ released: true });
      const granted = await waiting;
      expect(BigInt(granted.token)).toBeGreaterThan(BigInt(held.token));
      held = granted;
      [from, to] = [to, from];
    }
    expect(occupancy(one.steps, two.steps)).toMatchObject({ peak: { [name]: 1 }, overlaps: [] });
  });

  it('take over what expired', async () => {
    const [one, two] = await pair();
    await one.request('acquire', { name: `${name} expiry`, ttl: 1_000 });
    const waiting = two.request('acquire', { name: `${name} expiry`, ttl: 1_000 });
    const killedAt = one.kill('SIGKILL');
    expect((await waiting).at - killedAt).toBeLessThan(4_000);
    expect((await two.request('diagnostics')).safetyFinds).toBe(0);
  });

  it('renew, lose and contend', async () => {
    const [one, two] = await pair();
    const ask = { name: `${name} contended`, slots: 2, ttl: 3_000 };
    const renewing = await one.request('acquire', { ...ask, name: `${name} renewed` });
    const lost = await two.request('acquire', {
      ...ask,
      name: `${name} lost`,
      options: { autoRenew: false },
    });
    const share = { ...ask, loops: 4, total: 50, work: 3 };
    const done = await Promise.all([one.request('loop', share), two.request('loop', share)]);
    expect(done).toMatchObject([
      { done: 50, lost: 0 },
      { done: 50, lost: 0 },
    ]);
    expect((await two.lost(lost.permit)).code).toBe('PERMIT_LOST');
    expect(await one.request('state', { permit: renewing.permit })).toMatchObject({ isHeld: true });
    const seen = occupancy(one.steps, two.steps);
    expect(seen.peak[ask.name]).toBe(2);
    expect(seen.overlaps).toEqual([]);
  });

  it('take two slots together', async () => {
    const [one, two] = await pair();
    const ask = { name: `${name} both`, slots: 2, options: { count: 2 } };
    const held = await one.request('acquire', ask);
    expect([...held.slots].sort()).toEqual([0, 1]);
    const waiting = two.request('acquire', ask);
    await one.request('release', { permit: held.permit });
    expect((await waiting).slots).toHaveLength(2);
  });
});

describe.each(['2.x', '3.x'] as const)('a connection of nats %s', (client) => {
  it('says that the server is down, and works again when it is back', async () => {
    await using own = await TestServer.start();
    const worker = await WorkerProcess.start({ url: own.url, client });
    const held = await worker.request('acquire', { name: 'n', ttl: 20_000 });
    await own.kill();
    const down = worker.request('acquire', { name: 'm', options: { timeout: 1_000 } });
    await expect(down).rejects.toMatchObject({
      name: 'BackendUnavailableError',
      code: 'BACKEND_UNAVAILABLE',
    });
    const waiting = worker.request('acquire', { name: 'n' });
    await own.restart();
    expect(await worker.request('release', { permit: held.permit })).toMatchObject({ released: true });
    expect(BigInt((await waiting).token)).toBeGreaterThan(BigInt(held.token));
  });
});
