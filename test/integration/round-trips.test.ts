import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { BucketProbe } from '../support/bucket-probe';
import { type ServerCounts, difference, serverCounts } from '../support/server-counts';
import { WorkerProcess } from '../support/worker-process';
import { revisionOf } from '../support/token';

const WARM: ServerCounts = { stored: 2, api: 0, sent: 2 };
const NAME = 'counted';

let server: TestServer;
let probe: BucketProbe;
let worker: WorkerProcess;

beforeEach(async () => {
  server = await TestServer.start();
  probe = await BucketProbe.open(server.url);
});

afterEach(async () => {
  await worker.stop();
  await probe.connection.close();
  await server.stop();
});

async function start(): Promise<void> {
  worker = await WorkerProcess.start({ url: server.url, client: '3.x' });
}

/** Acquires and releases once, within the worker. */
async function cycle(work = 0): Promise<void> {
  const done = await worker.request('loop', { name: NAME, loops: 1, total: 1, work, ttl: 10_000 });
  expect(done).toEqual({ done: 1, lost: 0 });
}

async function cost(what: () => Promise<void>): Promise<ServerCounts> {
  await worker.request('flush');
  const before = await serverCounts(server, 1);
  await what();
  await worker.request('flush');
  return difference(await serverCounts(server, 1), before);
}

/** Another process holds the slot, dies, and its entry expires. */
async function letExpire(): Promise<void> {
  const other = await WorkerProcess.start({ url: server.url });
  const { permit, token } = await other.request('acquire', { name: NAME, ttl: 1_000 });
  other.kill('SIGKILL');
  await other.exited;
  await probe.announced(({ marker, revision }) => marker === 'MaxAge' && revision > revisionOf(token));
  expect(permit).not.toBe('');
}

describe('an uncontended acquire and release', () => {
  it.each([0, 100, 1_500])('is two writes and nothing else on a slot released %i ms ago', async (ago) => {
    await start();
    await cycle();
    await sleep(ago);
    expect(await cost(cycle)).toEqual(WARM);
  });

  it('is two writes and nothing else many times in a row', async () => {
    await start();
    await cycle();
    expect(
      await cost(async () => {
        await worker.request('loop', { name: NAME, loops: 1, total: 100, work: 0 });
      }),
    ).toEqual({ stored: 200, api: 0, sent: 200 });
  });

  it('is two writes and nothing else on a slot that expired under another process', async () => {
    await start();
    await cycle();
    await letExpire();
    const soon = await cost(cycle);
    await sleep(1_500);
    await letExpire();
    // The marker of the expiry goes away after a second.
    await sleep(1_500);
    const later = await cost(cycle);
    console.log('right after an expiry heard by nobody here:', soon, 'and 1.5 s after one:', later);
    expect(later).toEqual(WARM);
    expect(soon.stored).toBe(2);
    // The refused write says that something is there; one read says what.
    expect(soon.sent).toBeLessThanOrEqual(4);
  });

  it('is two writes and nothing else on a slot of its own that it lost', async () => {
    await start();
    const ask = { name: NAME, ttl: 1_000, options: { autoRenew: false } };
    const { permit } = await worker.request('acquire', ask);
    await worker.lost(permit);
    await sleep(1_500);
    expect(await cost(cycle)).toEqual(WARM);
  });

  it.each([950, 1_000, 1_050, 1_100, 1_150, 1_200, 1_250, 1_300])(
    'costs at most one refused write more on a slot released %i ms ago, when the marker is about to go',
    async (ago) => {
      await start();
      await cycle();
      await sleep(ago);
      const { stored, api, sent } = await cost(cycle);
      if (sent > 2) console.log(`${ago} ms after a release: ${sent} messages`);
      expect({ stored, api }).toEqual({ stored: 2, api: 0 });
      expect(sent).toBeLessThanOrEqual(3);
    },
  );

  it('is one read more when a process uses it for the first time, and more when nobody ever did', async () => {
    await start();
    await worker.request('ready');
    const onNew = await cost(cycle);
    await worker.stop();
    await start();
    await worker.request('ready');
    const onUsed = await cost(cycle);
    await worker.stop();
    await start();
    const withOpening = await cost(cycle);
    console.log('cold, on a new name:', onNew, 'on one used before:', onUsed, 'with opening:', withOpening);
    // A new semaphore also stores its limit, once for all.
    expect(onNew).toEqual({ stored: 3, api: 0, sent: 4 });
    expect(onUsed).toEqual({ stored: 2, api: 0, sent: 3 });
    expect(withOpening).toEqual({ stored: 2, api: 1, sent: 4 });
  });

  it('is one read more when it holds for longer than a moment, and listens for what others do', async () => {
    await start();
    await cycle();
    const long = await cost(() => cycle(300));
    console.log('held for 300 ms:', long);
    expect(long).toEqual({ stored: 2, api: 0, sent: 3 });
  });
});
