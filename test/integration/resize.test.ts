import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { eventually } from '../support/eventually';
import { type Change, History } from '../support/history';
import { Replay } from '../support/replay';
import { replayGrants } from '../support/replay-grants';
import { WorkerProcess } from '../support/worker-process';

const PROCESSES = 4;

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

/** Resolves with the revision at which a semaphore looks as wanted, at the earliest after another revision. */
function reached(name: string, looks: (replay: Replay) => boolean, after = 0): Promise<number> {
  const replay = new Replay(name);
  let done = 0;
  return history.when(() => {
    while (done < history.changes.length) {
      const change = history.changes[done++]!;
      replay.apply(change);
      if (change.revision > after && looks(replay)) return change.revision;
    }
    return undefined;
  });
}

describe.each([false, true])('a limit changed 3 -> 6 -> 2 under load in 4 processes (fair: %s)', (fair) => {
  it('is kept to at once by all, and nobody is revoked', async () => {
    const name = 'pool';
    const workers = await WorkerProcess.startAll(PROCESSES + 1, { url: server.url });
    const operator = workers.pop()!;
    const ask = { name, slots: 3, fair };
    const share = { ...ask, loops: 10, total: 100_000, work: 5 };
    const running = workers.map((worker) => worker.request('loop', share));

    const load = async (more: number): Promise<void> => {
      const start = history.changes.length;
      await history.when(() => history.changes.length > start + more || undefined);
    };
    const three = await reached(name, ({ holds }) => holds.size === 3);
    await load(200);
    await operator.request('setPermits', { name, slots: 6 });
    const raised = await reached(name, ({ limit }) => limit === 6);
    const six = await reached(name, ({ holds }) => holds.size === 6, raised);
    await load(200);
    await operator.request('setPermits', { name, slots: 2 });
    const lowered = await reached(name, ({ limit }) => limit === 2, six);
    const settled = await reached(name, ({ holds }) => holds.size <= 2, lowered);
    await load(600);
    await Promise.all(workers.map((worker) => worker.request('endLoops')));
    const done = await Promise.all(running);

    const changes = await history.complete();
    const told = new Set(workers.flatMap(({ steps }) => steps.map(({ permit }) => permit)));
    const peak = (from: number, to: number): number => highest(name, changes, from, to, told);
    const { excesses, overhangs } = replayGrants([name], changes, told);
    const lost = workers.flatMap(({ events }) => events.filter(({ type }) => type === 'lost'));
    console.log(
      `highest occupancy ${peak(three, raised - 1)}, then ${peak(raised, lowered - 1)}, then ${peak(settled, Infinity)}; ` +
        `${settled - lowered} revisions from the lowering until it fitted; ` +
        `${done.reduce((sum, each) => sum + each.done, 0)} grants`,
    );
    expect(peak(0, raised - 1)).toBe(3);
    expect(peak(raised, lowered - 1)).toBe(6);
    expect(peak(settled, Infinity)).toBe(2);
    expect(excesses).toEqual([]);
    expect(overhangs).toBeLessThanOrEqual(1);
    expect(lost).toEqual([]);
    expect(done.map((each) => each.lost)).toEqual([0, 0, 0, 0]);
    // What was given to one who did not need it comes back a moment later.
    await eventually(async () =>
      expect(replayGrants([name], await history.complete(), told).left).toEqual([]),
    );
    expect(await operator.request('availablePermits', { name })).toBe(2);
  });
});

/** Highest number of slots that were held at once, between two revisions, by permits of which a user was told. */
function highest(
  name: string,
  changes: readonly Change[],
  from: number,
  to: number,
  told: ReadonlySet<string>,
): number {
  const replay = new Replay(name);
  let most = 0;
  for (const change of changes) {
    replay.apply(change);
    if (change.revision < from || change.revision > to) continue;
    most = Math.max(most, [...replay.holds.values()].filter(({ permit }) => told.has(permit)).length);
  }
  return most;
}

describe('a limit lowered below what is held', () => {
  it('revokes nobody and grants nothing until it fits; raised again, it wakes waiters in other processes', async () => {
    const name = 'held';
    const [holder, waiter, operator] = await WorkerProcess.startAll(3, { url: server.url });
    const ask = { name, slots: 4 };
    const held: string[] = [];
    for (let i = 0; i < 4; i++) held.push((await holder!.request('acquire', ask)).permit);
    await operator!.request('setPermits', { name, slots: 2 });
    // It first comes when the limit is another: without a number of its own it goes by what is stored.
    const other = { name };
    const waiting = waiter!.request('acquire', other);
    const state = async () => {
      const states = await holder!.request('states');
      return states.filter(({ isHeld, aborted }) => isHeld && !aborted).length;
    };
    expect(await state()).toBe(4);
    for (const [i, left] of [3, 2].entries()) {
      await holder!.request('release', { permit: held[i]! });
      expect(await operator!.request('availablePermits', { name })).toBe(0);
      expect(await waiter!.request('tryAcquire', other)).toBeNull();
      expect(await state()).toBe(left);
    }
    await holder!.request('release', { permit: held[2]! });
    const granted = await waiting;
    expect(await waiter!.request('tryAcquire', other)).toBeNull();

    const [second, third] = [waiter!.request('acquire', other), waiter!.request('acquire', other)];
    expect(await waiter!.request('tryAcquire', other)).toBeNull();
    await operator!.request('setPermits', { name, slots: 4 });
    expect(new Set((await Promise.all([second, third])).flatMap(({ slots }) => slots)).size).toBe(2);
    expect(await state()).toBe(1);
    expect(await waiter!.request('state', { permit: granted.permit })).toMatchObject({ isHeld: true });
  });
});

describe('a second process with another number of slots', () => {
  const name = 'differing';
  const first = { name, slots: 3 };
  const limits = () =>
    history.changes
      .filter(({ key }) => key.endsWith('.limit'))
      .map(({ value }) => JSON.parse(value ?? '{}') as unknown);

  it('"error": is refused, with nothing changed', async () => {
    const [one, two] = await WorkerProcess.startAll(2, { url: server.url });
    await one!.request('acquire', first);
    for (const limitPolicy of [undefined, 'error'] as const) {
      const asked = two!.request('acquire', { name, slots: 5, limitPolicy });
      await expect(asked).rejects.toMatchObject({ name: 'LimitConflictError', code: 'LIMIT_CONFLICT' });
    }
    await history.complete();
    expect(limits()).toEqual([{ v: 1, slots: 3 }]);
    expect(await two!.request('availablePermits', { name })).toBe(2);
    // The number that is stored, or none, is no conflict.
    await two!.request('acquire', first);
    await two!.request('acquire', { name });
    expect(await one!.request('availablePermits', first)).toBe(0);
  });

  it('"adopt": goes by what is stored', async () => {
    const [one, two] = await WorkerProcess.startAll(2, { url: server.url });
    await one!.request('acquire', first);
    const ask = { name, slots: 5, limitPolicy: 'adopt' as const };
    await two!.request('acquire', ask);
    await two!.request('acquire', ask);
    expect(await two!.request('tryAcquire', ask)).toBeNull();
    const tooMany = two!.request('acquire', { ...ask, options: { count: 4 } });
    await expect(tooMany).rejects.toMatchObject({ name: 'RangeError' });
    await history.complete();
    expect(limits()).toEqual([{ v: 1, slots: 3 }]);
  });

  it('"set": stores its own, which the first process sees at once and follows', async () => {
    const [one, two] = await WorkerProcess.startAll(2, { url: server.url });
    for (let i = 0; i < 3; i++) await one!.request('acquire', first);
    const waiting = [one!.request('acquire', first), one!.request('acquire', first)];
    expect(await one!.request('tryAcquire', first)).toBeNull();
    const ask = { name, slots: 6, limitPolicy: 'set' as const };
    const own = await two!.request('acquire', ask);
    const slots = await Promise.all(waiting);
    expect(new Set([own, ...slots].flatMap((granted) => granted.slots))).toEqual(new Set([3, 4, 5]));
    expect(await one!.request('tryAcquire', first)).toBeNull();
    // A change by hand is followed by both, whatever their code says.
    await two!.request('setPermits', { name, slots: 7 });
    await one!.request('acquire', first);
    expect(await two!.request('tryAcquire', ask)).toBeNull();
    await history.complete();
    expect(limits()).toEqual([
      { v: 1, slots: 3 },
      { v: 1, slots: 6 },
      { v: 1, slots: 7 },
    ]);
  });

  it('"set" to fewer: the first process keeps what it holds, and is granted no more', async () => {
    const [one, two] = await WorkerProcess.startAll(2, { url: server.url });
    const held: string[] = [];
    for (let i = 0; i < 3; i++) held.push((await one!.request('acquire', first)).permit);
    const ask = { name, slots: 2, limitPolicy: 'set' as const };
    expect(await two!.request('tryAcquire', ask)).toBeNull();
    await one!.request('release', { permit: held[0]! });
    expect(await one!.request('tryAcquire', first)).toBeNull();
    expect(await two!.request('tryAcquire', ask)).toBeNull();
    await one!.request('release', { permit: held[1]! });
    await two!.request('acquire', ask);
    expect(await one!.request('tryAcquire', first)).toBeNull();
    expect(await one!.request('state', { permit: held[2]! })).toMatchObject({ isHeld: true });
    await history.complete();
    expect(limits()).toEqual([
      { v: 1, slots: 3 },
      { v: 1, slots: 2 },
    ]);
  });
});
