/** Slots that a process keeps after a release (`retain`), with other processes and a real server. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { NatsDispatcher } from '../../src';
import { TestServer } from '../../src/testing';
import { BucketProbe } from '../support/bucket-probe';
import { eventually } from '../support/eventually';
import { occupancy } from '../support/occupancy';
import { revisionOf, useOf } from '../support/token';
import { WorkerProcess } from '../support/worker-process';

/** Far longer than any of these tests: nothing is given back because time is over. */
const RETAIN_MS = 600_000;
/** Within a second, and what a busy machine adds to it. */
const GRACE_MS = 3_000;

let server: TestServer;
let probe: BucketProbe;

beforeAll(async () => {
  server = await TestServer.start();
  probe = await BucketProbe.open(server.url);
});

afterAll(async () => {
  await probe[Symbol.asyncDispose]();
  await server.stop();
});

const start = (count: number): Promise<WorkerProcess[]> =>
  WorkerProcess.startAll(count, { url: server.url, options: { retain: RETAIN_MS } });

/** Has a worker keep a slot, which others can see. Its permit before that, and the one before. */
async function keepOne(worker: WorkerProcess, ask: { name: string; ttl?: number }): Promise<bigint[]> {
  const tokens: bigint[] = [];
  await eventually(async () => {
    const { permit, token } = await worker.request('acquire', ask);
    tokens.push(BigInt(token));
    await worker.request('release', { permit });
    // It has to listen before it can keep anything.
    expect(useOf(token)).toBeGreaterThan(0);
  });
  return tokens;
}

const isKept = (worker: WorkerProcess, name: string): Promise<void> =>
  eventually(async () => {
    const { available, holders, kept } = await worker.request('status', { name });
    expect({ available, holders, kept: kept.length }).toEqual({ available: 1, holders: [], kept: 1 });
  });

describe('a kept slot', () => {
  it('is taken again without a write, shown as kept, and handed over when another process waits', async () => {
    const [a, b] = (await start(2)) as [WorkerProcess, WorkerProcess];
    const name = 'handed';
    const tokens = await keepOne(a, { name });
    await isKept(b, name);
    for (let i = 0; i < 20; i++) {
      const { permit, token } = await a.request('acquire', { name });
      tokens.push(BigInt(token));
      await a.request('release', { permit });
      // Granted without a write. That it lasted or rested for over 100 ms may have been written all the same.
      expect(useOf(token)).toBeGreaterThan(0);
    }
    const granted = await b.request('acquire', { name });
    tokens.push(BigInt(granted.token));
    console.log(`handed over ${(granted.at - granted.askedAt).toFixed(1)} ms after it was asked for`);
    expect(granted.at - granted.askedAt).toBeLessThan(RETAIN_MS / 100);
    expect(tokens).toEqual([...tokens].sort((x, y) => (x < y ? -1 : 1)));
    expect(new Set(tokens).size).toBe(tokens.length);
    expect((await probe.entry(`sem.${name}.slot.0`))?.revision).toBe(revisionOf(granted.token));
    // Nobody waits any more.
    await eventually(async () =>
      expect(await probe.liveKeys()).not.toContainEqual(expect.stringMatching(/wish/)),
    );
  });

  it('is not used by a process that was stopped for longer than its lease', async () => {
    const [a, b] = (await start(2)) as [WorkerProcess, WorkerProcess];
    const ask = { name: 'stopped', ttl: 1_000 };
    await keepOne(a, ask);
    a.kill('SIGSTOP');
    const held = await b.request('acquire', { ...ask, ttl: 30_000 });
    const late = a.request('acquire', ask);
    a.kill('SIGCONT');
    expect(await a.request('tryAcquire', ask)).toBeNull();
    await b.request('release', { permit: held.permit });
    const granted = await late;
    expect(BigInt(granted.token)).toBeGreaterThan(BigInt(held.token));
    const seen = occupancy(a.steps, b.steps);
    expect(seen).toMatchObject({ peak: { stopped: 1 }, overlaps: [], tokenFaults: [] });
  });

  it.each([1_000, 3_000])(
    'of a process that was killed is free again within the ttl of %i ms',
    async (ttl) => {
      const [a, b] = (await start(2)) as [WorkerProcess, WorkerProcess];
      const ask = { name: `killed-${ttl}`, ttl };
      await keepOne(a, ask);
      const killedAt = a.kill('SIGKILL');
      const granted = await b.request('acquire', ask);
      expect(granted.at - killedAt).toBeLessThanOrEqual(ttl + GRACE_MS);
      expect((await b.request('diagnostics')).safetyFinds).toBe(0);
    },
  );

  it('is given back on close, and leaves nothing', async () => {
    const dispatcher = await NatsDispatcher.connect({ servers: server.url, retain: RETAIN_MS });
    const semaphore = dispatcher.semaphore('closed', 1);
    await eventually(async () => {
      await semaphore.lock(5_000, () => undefined);
      expect((await semaphore.status()).kept).toHaveLength(1);
    });
    await dispatcher.close();
    const left = (await probe.liveKeys()).filter((key) => key.startsWith('sem.closed.'));
    expect(left).toEqual(['sem.closed.limit']);
  });

  it.each([false, true])('of processes that want it in turns is never held up (fair: %s)', async (fair) => {
    const workers = await start(3);
    const ask = { name: `turns-${String(fair)}`, fair, loops: 1, total: 150, work: 1 };
    const done = await Promise.all(workers.map((worker) => worker.request('loop', ask)));
    expect(done).toMatchObject(workers.map(() => ({ done: 150, lost: 0 })));
    const seen = occupancy(...workers.map(({ steps }) => steps));
    expect(seen).toMatchObject({ peak: { [ask.name]: 1 }, overlaps: [], tokenFaults: [], stays: 450 });
    // While others are at it, none is kept out for longer than a read that makes up for a lost word.
    const waits = workers.flatMap(({ steps }) => steps.slice(2).map(({ at }, i) => at - steps[i + 1]!.at));
    console.log(`longest wait ${Math.max(...waits).toFixed(1)} ms`);
    expect(Math.max(...waits)).toBeLessThan(5_000);
  });
});
