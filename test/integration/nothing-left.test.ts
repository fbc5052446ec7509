import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { BucketProbe } from '../support/bucket-probe';
import { eventually } from '../support/eventually';
import { runScript } from '../support/run-script';
import { connections, consumerCount } from '../support/server-counts';
import { WorkerProcess } from '../support/worker-process';

let server: TestServer;

beforeAll(async () => {
  server = await TestServer.start();
});

afterEach(async () => {
  // No hold, no ticket, no consumer, no connection: whatever the test did, it is over. What stays is the limit of each
  // semaphore, which is a setting and belongs to nobody.
  await using probe = await BucketProbe.open(server.url);
  expect((await probe.liveKeys()).filter((key) => !key.endsWith('.limit'))).toEqual([]);
  expect(await consumerCount(server)).toBe(0);
  await eventually(async () => expect(await connections(server)).toHaveLength(1));
});

afterAll(async () => {
  await server.stop();
});

/** Subjects that the only connection listens on, less the client's own inbox. */
async function subjects(): Promise<string[]> {
  const [only, ...others] = await connections(server);
  expect(others).toEqual([]);
  return (only?.subscriptions_list ?? []).filter((subject) => !subject.startsWith('_INBOX.')).sort();
}

const timeouts = (resources: readonly string[]): number => resources.filter((r) => r === 'Timeout').length;

/** Permits held, one lost, one given back, waits that ended in every way, and some that still go on. */
async function useInEveryWay(worker: WorkerProcess): Promise<Promise<unknown>[]> {
  const held = await worker.request('acquire', { name: 'held', slots: 2 });
  await worker.request('acquire', { name: 'held', slots: 2 });
  const lost = await worker.request('acquire', { name: 'lost', ttl: 1_000, options: { autoRenew: false } });
  const released = await worker.request('acquire', { name: 'released' });
  expect(await worker.request('release', { permit: released.permit })).toMatchObject({ released: true });
  const timedOut = worker.request('acquire', { name: 'held', slots: 2, options: { timeout: 2_000 } });
  const aborted = worker.request('acquire', { name: 'held', slots: 2, abortAfter: 100 });
  await expect(timedOut).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
  await expect(aborted).rejects.toThrow('not needed any more');
  await worker.lost(lost.permit);
  expect(held.slots).toHaveLength(1);
  // One that queued, for which it listens a moment longer.
  await worker.request('acquire', { name: 'queued', fair: true });
  const queued = worker.request('acquire', { name: 'queued', fair: true, options: { timeout: 2_000 } });
  await expect(queued).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
  return Array.from({ length: 5 }, () => worker.request('acquire', { name: 'held', slots: 2 }));
}

describe('after close', () => {
  it('nothing is left on the server or in the process', async () => {
    const worker = await WorkerProcess.start({ url: server.url });
    const waiting = await useInEveryWay(worker);
    const resources = await worker.request('close');
    for (const each of waiting) await expect(each).rejects.toMatchObject({ code: 'DISPATCHER_CLOSED' });
    console.log(`resources of the process after close: ${resources.join(', ')}`);
    expect(timeouts(resources)).toBe(0);
    await expect(worker.request('acquire', { name: 'held', slots: 2 })).rejects.toMatchObject({
      code: 'DISPATCHER_CLOSED',
    });
    await eventually(async () => expect(await connections(server)).toEqual([]));
    await worker.stop();
  });

  it.each(['2.x', '3.x'] as const)(
    "a connection of %s that is the caller's listens on nothing",
    async (client) => {
      const worker = await WorkerProcess.start({ url: server.url, client });
      const before = timeouts(await worker.request('resources'));
      const waiting = await useInEveryWay(worker);
      expect((await subjects()).join('\n')).toMatch(/^\$SEMAPHORE\.SEMAPHORES\.[\w-]{16}\.sem\.held\.>$/m);
      const after = await worker.request('close');
      for (const each of waiting) await expect(each).rejects.toMatchObject({ code: 'DISPATCHER_CLOSED' });
      await worker.request('flush');
      expect(await subjects()).toEqual([]);
      // The client's own timers stay as they were.
      expect(timeouts(after)).toBeLessThanOrEqual(before);
      await worker.request('disconnect');
      await worker.stop();
    },
  );

  it.each(['connect', 'unused', 'everything', '2.x', '3.x'])('a program ends by itself (%s)', async (how) => {
    const { code, signal, stdout, stderr } = await runScript('scripts/lock-and-close.ts', [server.url, how]);
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    const [closedAt, endedAt] = stdout.trim().split('\n').map(Number);
    const took = endedAt! - closedAt!;
    console.log(`${how}: ended ${took.toFixed(0)} ms after close`);
    expect(took).toBeLessThan(1_000);
  });
});

describe('without close', () => {
  it('a release, a timeout and an aborted wait leave no listener', async () => {
    const worker = await WorkerProcess.start({ url: server.url, client: '3.x' });
    await worker.request('loop', { name: 'n', loops: 1, total: 1, work: 0 });
    await worker.request('flush');
    const idle = await subjects();
    const busy = await worker.request('acquire', { name: 'n' });
    const timedOut = worker.request('acquire', { name: 'n', options: { timeout: 2_000 } });
    const aborted = worker.request('acquire', { name: 'n', abortAfter: 100 });
    await expect(timedOut).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
    await expect(aborted).rejects.toThrow('not needed any more');
    expect(await subjects()).not.toEqual(idle);
    await worker.request('release', { permit: busy.permit });
    await worker.request('flush');
    expect(await subjects()).toEqual(idle);
    expect(idle.filter((subject) => subject.includes('.n.'))).toEqual([]);
    await worker.request('close');
    await worker.stop();
  });
});
