import { describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { monotonicMs } from '../support/monotonic';
import { occupancy } from '../support/occupancy';
import { WorkerError, WorkerProcess } from '../support/worker-process';

const SLOTS = 3;

/** Three holders in two processes, 20 waiters in three. */
async function crowd(url: string, ttl: number) {
  const ask = { name: 'pool', slots: SLOTS, ttl };
  const workers = await WorkerProcess.startAll(4, { url });
  await Promise.all(workers.map((worker) => worker.request('ready')));
  const [a, b, c, d] = workers as [WorkerProcess, WorkerProcess, WorkerProcess, WorkerProcess];
  const holds = await Promise.all(
    [a, a, b].map(async (worker) => ({ worker, ...(await worker.request('acquire', ask)) })),
  );
  const waiting = [
    b.request('loop', { ...ask, loops: 6, total: 6, work: 30 }),
    c.request('loop', { ...ask, loops: 7, total: 7, work: 30 }),
    d.request('loop', { ...ask, loops: 7, total: 7, work: 30 }),
  ];
  // All are in the queue, and listen, once one that asks after them is told there is nothing.
  const asked = { ...ask, options: { timeout: 2_000 } };
  const refused = await Promise.all([b, c, d].map((worker) => worker.request('tryAcquire', asked)));
  expect(refused).toEqual([null, null, null]);
  return { workers, holds, waiting };
}

describe('a server killed with SIGKILL and started again', () => {
  it('soon: holders still hold, and when they release, all 20 who waited are served', async () => {
    await using server = await TestServer.start();
    const { workers, holds, waiting } = await crowd(server.url, 10_000);
    await server.kill();
    await server.restart();
    const backAt = monotonicMs();
    for (const { worker, permit } of holds) {
      expect(await worker.request('state', { permit })).toMatchObject({ isHeld: true, aborted: false });
      expect(await worker.request('release', { permit })).toMatchObject({ released: true });
    }
    const done = await Promise.all(waiting);
    const tookMs = monotonicMs() - backAt;

    const seen = occupancy(...workers.map((worker) => worker.steps));
    const counts = await Promise.all(workers.map((worker) => worker.request('diagnostics')));
    console.log(`all 20 served ${tookMs.toFixed(0)} ms after the server was back`, counts);
    expect(done.map((each) => each.done)).toEqual([6, 7, 7]);
    expect(seen).toEqual({ peak: { pool: SLOTS }, overlaps: [], tokenFaults: [], stays: 23 });
    expect(counts.map(({ safetyFinds }) => safetyFinds)).toEqual([0, 0, 0, 0]);
  });

  it('after longer than the ttl: holders have lost their permits, and all 20 who waited are served', async () => {
    await using server = await TestServer.start();
    const { workers, holds, waiting } = await crowd(server.url, 2_000);
    await server.kill();
    const killedAt = monotonicMs();
    const lost = await Promise.all(holds.map(({ worker, permit }) => worker.lost(permit)));
    for (const { at, code } of lost) {
      expect(code).toBe('PERMIT_LOST');
      // A busy machine's timers are late; that nobody believed too long is seen by the occupancy below.
      expect(at - killedAt).toBeLessThan(3_000);
    }
    await server.restart();
    const backAt = monotonicMs();
    const done = await Promise.all(waiting);
    const tookMs = monotonicMs() - backAt;

    const seen = occupancy(...workers.map((worker) => worker.steps));
    console.log(`all 20 served ${tookMs.toFixed(0)} ms after the server was back`);
    expect(done.map((each) => each.done)).toEqual([6, 7, 7]);
    expect(seen).toEqual({ peak: { pool: SLOTS }, overlaps: [], tokenFaults: [], stays: 23 });
  });

  it('under load: occupancy never exceeds the slots', async () => {
    await using server = await TestServer.start();
    const workers = await WorkerProcess.startAll(3, { url: server.url });
    await Promise.all(workers.map((worker) => worker.request('ready')));
    const share = { name: 'busy', slots: SLOTS, ttl: 5_000, loops: 7, total: 150, work: 5 };
    const running = workers.map((worker) => worker.request('loop', share));
    for (const atLeast of [30, 90]) {
      await workers[0]!.event(() => workers[0]!.steps.length > atLeast);
      await server.kill();
      await server.restart();
    }
    const done = await Promise.all(running);
    expect(done.map((each) => each.done)).toEqual([150, 150, 150]);
    const seen = occupancy(...workers.map((worker) => worker.steps));
    expect(seen).toEqual({ peak: { busy: SLOTS }, overlaps: [], tokenFaults: [], stays: 450 });
  });
});

describe('while the server is down', () => {
  it('acquire fails with BACKEND_UNAVAILABLE at its timeout, tryAcquire at once', async () => {
    await using server = await TestServer.start();
    await using worker = await WorkerProcess.start({ url: server.url });
    const name = 'down';
    await worker.request('acquire', { name });
    const timeout = 2_000;
    const before = failure(worker.request('acquire', { name, options: { timeout } }));
    await server.kill();
    const fresh = failure(worker.request('acquire', { name, options: { timeout } }));
    const other = failure(worker.request('acquire', { name: 'never used', options: { timeout } }));
    const waited = await Promise.all([before, fresh, other]);
    // By now the worker knows: in the first instant it may still say null, because the slot is held.
    const immediate = await failure(worker.request('tryAcquire', { name }));
    const results = [...waited, immediate];
    console.log(results.map(({ code, took }) => `${code} after ${took.toFixed(0)} ms`).join(', '));
    for (const { error, code, took } of results) {
      expect(error.name).toBe('BackendUnavailableError');
      expect(code).toBe('BACKEND_UNAVAILABLE');
      expect(error.message).toMatch(/"down"|"never used"/);
      expect(took).toBeLessThan(2 * timeout);
    }
    expect(immediate.took).toBeLessThan(timeout);
  });
});

async function failure(asked: Promise<unknown>): Promise<{ error: WorkerError; code: string; took: number }> {
  const from = monotonicMs();
  let granted: unknown;
  try {
    granted = await asked;
  } catch (error) {
    if (error instanceof WorkerError) return { error, code: error.code, took: error.at - from };
    throw error;
  }
  throw new Error(`it was granted: ${JSON.stringify(granted)}`);
}
