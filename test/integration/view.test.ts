import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { BucketProbe } from '../support/bucket-probe';
import { eventually } from '../support/eventually';
import { type Change, History } from '../support/history';
import { Replay } from '../support/replay';
import type { PlainStatus, WorkerEvent } from '../support/worker';
import { WorkerProcess } from '../support/worker-process';

type Seen = Extract<WorkerEvent, { type: 'status' }>;

const TTL = 10_000;

let server: TestServer;
let history: History;

beforeEach(async () => {
  server = await TestServer.start();
  history = await History.open(server.url);
});

afterEach(async () => {
  await history.connection.close();
  await server.stop();
});

const start = (holder: string) => WorkerProcess.start({ url: server.url, options: { holder } });
const startAll = (...holders: string[]) => Promise.all(holders.map(start));
const seenBy = (worker: WorkerProcess): Seen[] =>
  worker.events.filter((event): event is Seen => event.type === 'status');

/** A status, as far as the entries alone say it. */
const brief = ({ slots, holders, waiters }: PlainStatus): string =>
  JSON.stringify([
    slots,
    holders.map(({ permitId, slots: own }) => [permitId, own]),
    waiters.map(({ since }) => since),
  ]);

/** The brief status after each change that makes a difference to it. */
function states(name: string, changes: readonly Change[]): string[] {
  const replay = new Replay(name);
  const found: string[] = [];
  for (const change of changes) {
    if (replay.apply(change) === undefined) continue;
    const permits = new Map<string, { slots: number[]; token: number }>();
    for (const [slot, { permit, token }] of replay.holds) {
      const known = permits.get(permit) ?? { slots: [], token };
      permits.set(permit, { slots: [...known.slots, slot], token: Math.max(known.token, token) });
    }
    const holders = [...permits].sort(([, a], [, b]) => a.token - b.token);
    const text = JSON.stringify([
      replay.limit,
      holders.map(([permit, { slots }]) => [permit, slots.sort((a, b) => a - b)]),
      replay.queue.map((id) => replay.since.get(id)),
    ]);
    if (found.at(-1) !== text) found.push(text);
  }
  return found;
}

describe('status, seen from another process', () => {
  it('shows who holds what since when and until when, and who waits, first come first', async () => {
    const [one, two, viewer] = await startAll('one', 'two', 'viewer');
    const ask = { name: 'shown', slots: 4, fair: true, ttl: TTL };
    const before = Date.now();
    const pair = await one!.request('acquire', { ...ask, options: { count: 2, metadata: { job: 'pair' } } });
    const single = await two!.request('acquire', ask);
    const waiting: Promise<unknown>[] = [];
    for (const [i, worker] of [two!, one!, two!].entries()) {
      waiting.push(
        worker.request('acquire', { ...ask, options: { count: 4 - i, metadata: { who: `${i}` } } }),
      );
      await eventually(async () =>
        expect((await viewer!.request('status', { name: 'shown' })).waiters).toHaveLength(i + 1),
      );
    }
    const after = Date.now();
    const status = await viewer!.request('status', { name: 'shown' });
    expect(status).toMatchObject({ name: 'shown', kind: 'semaphore', slots: 4, available: 1, corrupt: [] });
    const holder = { since: expect.any(String), expiresAt: expect.any(String) };
    expect(status.holders).toEqual([
      {
        ...holder,
        permitId: pair.permit,
        holder: 'one',
        slots: [...pair.slots].sort(),
        fencingToken: pair.token,
        metadata: { job: 'pair' },
      },
      {
        ...holder,
        permitId: single.permit,
        holder: 'two',
        slots: single.slots,
        fencingToken: single.token,
        metadata: {},
      },
    ]);
    expect(status.waiters.map(({ holder: who, count, metadata }) => [who, count, metadata])).toEqual([
      ['two', 4, { who: '0' }],
      ['one', 3, { who: '1' }],
      ['two', 2, { who: '2' }],
    ]);
    for (const { since, expiresAt } of [...status.holders, ...status.waiters]) {
      expect(Date.parse(since)).toBeGreaterThanOrEqual(before);
      expect(Date.parse(since)).toBeLessThanOrEqual(after);
      expect(Date.parse(expiresAt) - Date.parse(since)).toBeGreaterThan(TTL - 1_000);
    }
    expect(await viewer!.request('availablePermits', { name: 'shown' })).toBe(1);
    await one!.request('release', { permit: pair.permit });
    await two!.request('release', { permit: single.permit });
    await waiting[0];
    expect(await viewer!.request('status', { name: 'shown' })).toMatchObject({
      available: 0,
      holders: [{ holder: 'two', slots: [0, 1, 2, 3], metadata: { who: '0' } }],
      waiters: [{ metadata: { who: '1' } }, { metadata: { who: '2' } }],
    });
  });
});

describe('watch, in another process', () => {
  it('gives one update for each of 100 changes that come one at a time', async () => {
    const [user, viewer] = await startAll('user', 'viewer');
    const ask = { name: 'watched', slots: 3 };
    await user!.request('availablePermits', ask);
    await user!.request('setPermits', { name: 'watched', slots: 3 });
    await viewer!.request('watch', { name: 'watched' });
    const next = (count: number): Promise<Seen> =>
      viewer!.event<Seen>(() => seenBy(viewer!).length === count).then(() => seenBy(viewer!)[count - 1]!);
    expect((await next(1)).status).toMatchObject({ slots: 3, available: 3, holders: [] });
    for (let i = 0; i < 50; i++) {
      const { permit } = await user!.request('acquire', ask);
      const held = await next(2 + 2 * i);
      expect(held.status).toMatchObject({ available: 2, holders: [{ permitId: permit, holder: 'user' }] });
      await user!.request('release', { permit });
      const released = await next(3 + 2 * i);
      expect(released.status).toMatchObject({ available: 3, holders: [] });
    }
    const changes = (await history.complete()).filter(({ key }) => key.includes('.slot.'));
    const updates = seenBy(viewer!).slice(1);
    const lags = changes.map(({ at }, i) => updates[i]!.at - at).sort((a, b) => a - b);
    console.log(
      `100 changes, ${updates.length} updates; the slowest came ${lags.at(-1)!.toFixed(1)} ms later`,
    );
    expect(changes).toHaveLength(100);
    expect(updates).toHaveLength(100);
    await viewer!.request('unwatch', { name: 'watched' });
  });

  it('under load shows only what was, in order, and at the end what is', async () => {
    const name = 'busy';
    const [one, two, viewer] = await startAll('one', 'two', 'viewer');
    await one!.request('setPermits', { name, slots: 3 });
    await viewer!.request('watch', { name });
    const share = { name, fair: true, loops: 8, total: 150, work: 1 };
    await Promise.all([one!, two!].map((worker) => worker.request('loop', share)));
    let known: string[] = [];
    await eventually(async () => {
      known = states(name, await history.complete());
      expect(brief(seenBy(viewer!).at(-1)!.status)).toBe(known.at(-1));
    });

    const seen = seenBy(viewer!);
    let at = -1;
    for (const { status } of seen) {
      const text = brief(status);
      // Not every change makes a difference to it: that of a ticket which was served already makes none.
      const later = known.findIndex((state, i) => i >= at && state === text);
      expect(later < 0 ? { neverWas: text, after: known[at] } : 'was').toBe('was');
      at = later;
    }
    console.log(`${known.length} states, ${seen.length} updates`);
    expect(at).toBe(known.length - 1);
  });

  it('who reads slowly is given the latest, and then nothing until it changes again', async () => {
    const name = 'slow';
    const [user, viewer] = await startAll('user', 'viewer');
    await user!.request('setPermits', { name, slots: 2 });
    await viewer!.request('watchSlowly', { name });
    expect(await viewer!.request('nextStatus', { name })).toMatchObject({ available: 2 });
    await user!.request('loop', { name, loops: 2, total: 50, work: 0 });
    const { permit } = await user!.request('acquire', { name });
    await history.complete();
    // What the viewer had been sent before is dealt with before this is answered.
    await viewer!.request('status', { name });
    const one = await viewer!.request('nextStatus', { name });
    expect(one).toMatchObject({ available: 1, holders: [{ permitId: permit }] });
    const following = viewer!.request('nextStatus', { name });
    await user!.request('release', { permit });
    expect(await following).toMatchObject({ available: 2, holders: [] });
    const last = viewer!.request('nextStatus', { name });
    await viewer!.request('unwatch', { name });
    expect(await last).toBeNull();
  });
});

describe('list, in another process', () => {
  it('names every semaphore with its limit, who holds and who waits', async () => {
    const [one, two, viewer] = await startAll('one', 'two', 'viewer');
    expect(await viewer!.request('list')).toEqual([]);
    const names = ['a.b', '/config.json', '用户', '*', 'plain'];
    for (const [i, name] of names.entries()) await one!.request('acquire', { name, slots: i + 1 });
    void two!.request('acquire', { name: 'a.b', slots: 1, fair: true });
    await one!.request('setPermits', { name: 'unused', slots: 9 });
    await eventually(async () => {
      const listed = await viewer!.request('list');
      const expected = [
        ...names.map((name, i) => ({ name, slots: i + 1, held: 1, waiting: name === 'a.b' ? 1 : 0 })),
        { name: 'unused', slots: 9, held: 0, waiting: 0 },
      ].map((each) => ({ kind: 'semaphore', ...each }));
      expect(listed).toEqual(expected.sort((a, b) => (a.name < b.name ? -1 : 1)));
    });
  });
});

describe('forceRelease, from another process', () => {
  it("aborts the holder's signal at once, and lets a waiter in", async () => {
    const [holder, waiter, operator] = await startAll('holder', 'waiter', 'operator');
    const ask = { name: 'forced', slots: 2, ttl: 120_000 };
    const both = await holder!.request('acquire', { ...ask, options: { count: 2 } });
    const waiting = waiter!.request('acquire', ask);
    expect(await waiter!.request('tryAcquire', ask)).toBeNull();
    const forced = await operator!.request('forceRelease', { name: 'forced', permit: both.permit });
    const [lost, granted] = await Promise.all([holder!.lost(both.permit), waiting]);
    console.log(
      `signal aborted ${(lost.at - forced.startedAt).toFixed(1)} ms after forceRelease was called, ` +
        `the waiter granted ${(granted.at - forced.startedAt).toFixed(1)} ms after it`,
    );
    expect(forced.released).toBe(true);
    expect(lost.code).toBe('PERMIT_LOST');
    // Far less than its ttl of 120 s, or the tenth of it after which it might have been renewed.
    expect(lost.at - forced.startedAt).toBeLessThan(3_000);
    expect(await holder!.request('state', { permit: both.permit })).toMatchObject({ isHeld: false });
    expect((await holder!.request('release', { permit: both.permit })).released).toBe(false);
    // Nothing of the waiter's was touched by any of this.
    expect(await waiter!.request('state', { permit: granted.permit })).toMatchObject({ isHeld: true });
    expect(await operator!.request('status', { name: 'forced' })).toMatchObject({
      available: 1,
      holders: [{ permitId: granted.permit, holder: 'waiter' }],
    });
    const again = await operator!.request('forceRelease', { name: 'forced', permit: both.permit });
    expect(again.released).toBe(false);
  });

  it('frees what a dead process holds, long before its ttl', async () => {
    const [holder, waiter, operator] = await startAll('holder', 'waiter', 'operator');
    const { permit } = await holder!.request('acquire', { name: 'dead' });
    const waiting = waiter!.request('acquire', { name: 'dead' });
    holder!.kill('SIGKILL');
    await holder!.exited;
    const forced = await operator!.request('forceRelease', { name: 'dead', permit });
    expect(forced.released).toBe(true);
    expect((await waiting).at - forced.startedAt).toBeLessThan(5_000);
  });

  it('takes a permit on two semaphores away as a whole', async () => {
    await using probe = await BucketProbe.open(server.url);
    const [holder, operator] = await startAll('holder', 'operator');
    const wants = [
      { name: 'x', slots: 2, count: 2 },
      { name: 'y', slots: 1 },
    ];
    const { permit } = await holder!.request('acquireAll', { wants });
    expect(await operator!.request('availablePermits', { name: 'y' })).toBe(0);
    expect((await operator!.request('forceRelease', { name: 'x', permit })).released).toBe(true);
    await holder!.lost(permit);
    await eventually(async () =>
      expect((await probe.liveKeys()).sort()).toEqual(['sem.x.limit', 'sem.y.limit']),
    );
  });
});
