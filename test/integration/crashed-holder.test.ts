import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { BucketProbe } from '../support/bucket-probe';
import { occupancy } from '../support/occupancy';
import { WorkerProcess } from '../support/worker-process';

/** "A crashed holder's slot is granted to a waiter within ttl + 1 s." On a busy machine whatever is late adds to it. */
const GRACE_MS = 3_000;

let server: TestServer;

beforeAll(async () => {
  server = await TestServer.start();
});

afterAll(async () => {
  await server.stop();
});

describe('a holder killed with SIGKILL', () => {
  it.each([1_000, 2_000, 5_000])(
    'with a ttl of %i ms: a waiter in another process has its slot in time',
    async (ttl) => {
      const name = `killed-${ttl}`;
      const [holder, waiter] = await WorkerProcess.startAll(2, { url: server.url });
      await waiter!.request('ready');
      const held = await holder!.request('acquire', { name, ttl });
      const waiting = waiter!.request('acquire', { name, ttl });
      const killedAt = holder!.kill('SIGKILL');
      const granted = await waiting;

      const took = granted.at - killedAt;
      console.log(`ttl ${ttl} ms: taken over ${took.toFixed(0)} ms after the kill`);
      expect(took).toBeLessThanOrEqual(ttl + GRACE_MS);
      // Not before its lease was over, either.
      expect(granted.at - held.askedAt).toBeGreaterThanOrEqual(ttl);
      expect(BigInt(granted.token)).toBeGreaterThan(BigInt(held.token));
      expect((await waiter!.request('diagnostics')).safetyFinds).toBe(0);
    },
  );

  it('after ten renewals: the slot still expires', async () => {
    const name = 'renewed';
    const ttl = 3_000;
    await using probe = await BucketProbe.open(server.url);
    const [holder, waiter] = await WorkerProcess.startAll(2, { url: server.url });
    const held = await holder!.request('acquire', { name, ttl });
    const waiting = waiter!.request('acquire', { name, ttl });
    const renewals = (): number =>
      probe.announcements.filter(({ permit }) => permit === held.permit).length - 1;
    const count = await probe.when(() => (renewals() >= 10 ? renewals() : undefined), 30_000);
    const killedAt = holder!.kill('SIGKILL');
    const granted = await waiting;

    const took = granted.at - killedAt;
    console.log(`after ${count} renewals: taken over ${took.toFixed(0)} ms after the kill`);
    expect(took).toBeLessThanOrEqual(ttl + GRACE_MS);
    expect((await waiter!.request('diagnostics')).safetyFinds).toBe(0);
    await probe.announced(({ key, marker }) => key === `sem.${name}.slot.0` && marker === 'MaxAge');
  });

  it('with 20 waiters in two processes on 3 slots: all 3 slots are taken over, and none twice', async () => {
    const ask = { name: 'three', slots: 3, ttl: 1_000 };
    const [holder, ...others] = await WorkerProcess.startAll(3, { url: server.url });
    for (let i = 0; i < 3; i++) await holder!.request('acquire', ask);
    const running = others.map((other) => other.request('loop', { ...ask, loops: 10, total: 10, work: 50 }));
    const killedAt = holder!.kill('SIGKILL');
    const done = await Promise.all(running);
    expect(done.map((each) => each.done)).toEqual([10, 10]);
    // What the killed one did ends, at the latest, with its last lease.
    const ended = holder!.steps.map((step) => ({ ...step, type: 'leave' as const, at: killedAt }));
    const seen = occupancy(holder!.steps, ended, ...others.map((other) => other.steps));
    expect(seen).toMatchObject({ peak: { three: 3 }, overlaps: [], tokenFaults: [], stays: 23 });
  });
});
