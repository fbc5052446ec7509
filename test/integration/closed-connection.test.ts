import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { WorkerProcess } from '../support/worker-process';

let server: TestServer;

beforeAll(async () => {
  server = await TestServer.start();
});

afterAll(async () => {
  await server.stop();
});

/** Closed for good, by its owner or because the client gave up reconnecting. */
describe.each(['2.x', '3.x'] as const)('a connection of %s that was closed', (client) => {
  const unavailable = { name: 'BackendUnavailableError', code: 'BACKEND_UNAVAILABLE' };
  const start = () => WorkerProcess.start({ url: server.url, client });

  it('refuses an acquire of a semaphore not used before', async () => {
    const worker = await start();
    await worker.request('ready');
    await worker.request('disconnect');
    const asked = worker.request('acquire', { name: `${client} fresh`, options: { timeout: 1_000 } });
    await expect(asked).rejects.toMatchObject(unavailable);
  });

  it('refuses an acquire of a semaphore used before', async () => {
    const worker = await start();
    const ask = { name: `${client} used`, options: { timeout: 1_000 } };
    const { permit } = await worker.request('acquire', ask);
    await worker.request('release', { permit });
    await worker.request('disconnect');
    await expect(worker.request('acquire', ask)).rejects.toMatchObject(unavailable);
    await expect(worker.request('tryAcquire', ask)).rejects.toMatchObject(unavailable);
  });

  it('ends a wait without a timeout: it can not succeed any more', async () => {
    const [holder, worker] = await Promise.all([start(), start()]);
    const name = `${client} waiting`;
    await holder.request('acquire', { name });
    const waiting = worker.request('acquire', { name });
    expect(await worker.request('tryAcquire', { name })).toBeNull();
    await worker.request('disconnect');
    await expect(within(5_000, waiting)).rejects.toMatchObject(unavailable);
  });

  it('ends a permit at its deadline and nothing breaks', async () => {
    const worker = await start();
    const ask = { name: `${client} held`, ttl: 1_000 };
    // Used before, so that nothing is listened for at first.
    await worker.request('loop', { ...ask, loops: 1, total: 1, work: 0 });
    const { permit, at } = await worker.request('acquireAndDisconnect', ask);
    const lost = await worker.lost(permit);
    // A busy machine's timers are late; that nobody believes in it too long is seen elsewhere.
    expect(lost.at - at).toBeLessThan(3_000);
    expect(lost.reason).toContain('ran out before a renewal');
    expect(await worker.request('release', { permit })).toMatchObject({ released: false });
    await worker.request('close');
    await worker.stop();
  });
});

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no outcome within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
