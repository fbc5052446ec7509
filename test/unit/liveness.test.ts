import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Permit } from '../../src/api/permit';
import { acquireTogether } from '../../src/api/acquire-together';
import { BackendUnavailableError } from '../../src/errors';
import type { CommitResult } from '../../src/store/store';
import { settle } from '../support/fake-clock';
import { Lab, type LabClient } from '../support/lab';
import { withMethods } from '../support/sabotage';

let lab: Lab;

beforeEach(() => {
  lab = new Lab();
});

afterEach(() => lab.close());

describe('whoever waits is served', () => {
  it('when the first in line gives up, who wanted more than there was', async () => {
    const [a, b] = [lab.client('s', 2, 30_000), lab.client('s', 2, 30_000)];
    await b.semaphore.lock();
    const many = outcome(a.semaphore.lock({ count: 2, timeout: 1_000 }));
    await lab.clock.advance(100);
    const one = outcome(a.semaphore.lock());
    await lab.clock.advance(950);
    expect(many.error).toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
    expect(one.value?.isHeld).toBe(true);
  });

  it('at once, who will not wait, behind one who takes all that is free', async () => {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    await b.semaphore.lock();
    const all = outcome(a.semaphore.drainPermits());
    const one = outcome(a.semaphore.tryAcquire());
    await lab.clock.advance(10);
    expect([all.value, one.value]).toEqual([null, null]);
  });

  it('in order, though a claim made for one who left succeeds', async () => {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    const held = await b.semaphore.lock();
    const leaving = new AbortController();
    const order: string[] = [];
    const served = async (who: string, permit: Promise<Permit>): Promise<void> => {
      const granted = await permit;
      order.push(who);
      await granted.release();
    };
    const left = outcome(a.semaphore.lock({ signal: leaving.signal }));
    const second = served('second', a.semaphore.lock({ metadata: { unlike: 'the others' } }));
    const third = served('third', a.semaphore.lock());
    await lab.clock.advance(10);
    const answer = delayNextCommit(a);
    await held.release();
    await lab.clock.advance(10);
    leaving.abort();
    answer();
    await lab.clock.advance(100);
    await Promise.all([second, third]);
    expect(left.error).toBeDefined();
    expect(order).toEqual(['second', 'third']);
  });

  it('with several slots, where a removal marker stays longer than ours do', async () => {
    const [a, b] = [lab.client('s', 2, 30_000), lab.client('s', 2, 30_000)];
    const [first, second] = [await b.semaphore.lock(), await b.semaphore.lock()];
    const waiting = outcome(a.semaphore.lock({ count: 2 }));
    await lab.clock.advance(500);
    const commits = countCommits(a, 50);
    const key = `sem.s.slot.${first.slots[0]}`;
    const [entry] = await lab.store.read([key]);
    await lab.store.commit([{ key, expected: entry?.revision ?? 0, value: null, ttl: 1_000_000 }]);
    await lab.clock.advance(3_000);
    await second.release();
    await lab.clock.advance(100);
    expect(waiting.value?.count).toBe(2);
    expect(commits()).toBeLessThan(5);
  });

  it('though the ticket had run out before its answer came', async () => {
    const a = lab.client('s', 1, 30_000, true);
    const commit = a.wire.commit.bind(a.wire);
    a.wire.commit = async (writes, options): Promise<CommitResult> => {
      if (!writes.some(({ key }) => key.includes('.ticket.'))) return commit(writes, options);
      a.wire.commit = commit;
      return { committed: false, actual: 5 };
    };
    const waiting = outcome(a.semaphore.lock());
    await lab.clock.advance(100);
    expect(waiting.value?.isHeld).toBe(true);
  });
});

describe('whoever waits', () => {
  it.each([false, true])('is told that what it waits for can not be read (fair: %s)', async (fair) => {
    const a = lab.client('s', 1, 30_000, fair);
    await lab.store.commit([{ key: 'sem.s.slot.0', expected: 0, value: 'not ours' }]);
    const waiting = outcome(a.semaphore.lock());
    await lab.clock.advance(100);
    expect(waiting.error).toMatchObject({ code: 'CORRUPT_ENTRY' });
  });

  it('costs one safety read at a time, though others left during one', async () => {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    await b.semaphore.lock();
    const leaving = new AbortController();
    const left = outcome(a.semaphore.lock({ signal: leaving.signal }));
    await lab.clock.advance(1_000);
    a.wire.delayAnswers();
    const { counts } = a.context;
    while (counts.safetyReads === 0) await lab.clock.advance(100);
    leaving.abort();
    await settle();
    const waiting = outcome(a.semaphore.lock());
    a.wire.deliverAnswers();
    const before = counts.safetyReads;
    await lab.clock.advance(75_000);
    expect(counts.safetyReads - before).toBeLessThan(16);
    expect([left.error === undefined, waiting]).toEqual([false, {}]);
  });
});

describe('the safety read', () => {
  /** A slot is free, of which the one who waits was not told; he begins to look, and the store does not answer. */
  async function unheard(
    fair = false,
    timeout?: number,
  ): Promise<{ waiting: Outcome<Permit>; b: LabClient; answering: (on: boolean) => void }> {
    let silent = false;
    lab = new Lab((store) =>
      withMethods(store, {
        read: (patterns, options) =>
          silent ? Promise.reject(new BackendUnavailableError('no answer')) : store.read(patterns, options),
      }),
    );
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000, fair)];
    await a.semaphore.lock();
    const waiting = outcome(b.semaphore.lock({ timeout }));
    await lab.clock.advance(1_000);
    b.wire.loseAnnouncements(true);
    // A release would hand the slot off to the ticket, and the end of that hold is announced.
    await lab.wipe('sem.s.slot.0');
    b.wire.loseAnnouncements(false);
    silent = true;
    while (b.context.counts.safetyReads === 0) await lab.clock.advance(100);
    return { waiting, b, answering: (on) => void (silent = !on) };
  }

  it('goes on until the store answers', async () => {
    const { waiting, b, answering } = await unheard();
    await lab.clock.advance(20_000);
    expect([waiting, b.context.counts]).toEqual([{}, { safetyReads: 1, safetyFinds: 0 }]);
    answering(true);
    await lab.clock.advance(2_000);
    expect(waiting.value?.isHeld).toBe(true);
    expect(b.context.counts).toEqual({ safetyReads: 1, safetyFinds: 1 });
  });

  it('is one at a time, whoever comes and goes meanwhile', async () => {
    const timeout = 11_000;
    const { waiting, b, answering } = await unheard(true, timeout);
    let current = waiting;
    // Not for as long as the ttl of the hold: from then on waiters try to remove what they see.
    for (let i = 0; i < 2; i++) {
      while (current.error === undefined) await lab.clock.advance(100);
      current = outcome(b.semaphore.lock({ timeout }));
    }
    expect(b.context.counts).toEqual({ safetyReads: 1, safetyFinds: 0 });
    answering(true);
    await lab.clock.advance(2_000);
    expect(current.value?.isHeld).toBe(true);
    expect(b.context.counts).toEqual({ safetyReads: 1, safetyFinds: 1 });
  });
});

describe('who waits for several together', () => {
  const together = (client: LabClient, count = 1) =>
    outcome(
      acquireTogether(
        client.context,
        [{ semaphore: client.semaphore, count }],
        undefined,
        client.engines,
        30_000,
        client.telemetry,
      ),
    );

  it('is served after a reconnect', async () => {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    const held = await b.semaphore.lock();
    const waiting = together(a);
    await lab.clock.advance(10);
    a.wire.cut();
    await lab.clock.advance(10);
    a.wire.mend();
    await held.release();
    await lab.clock.advance(100);
    expect(waiting.value?.isHeld).toBe(true);
  });

  it('is served after the limit was removed', async () => {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    const held = await b.semaphore.lock();
    const waiting = together(a);
    await lab.clock.advance(10);
    await lab.wipe('sem.s.limit');
    await held.release();
    await lab.clock.advance(100);
    expect(waiting.value?.isHeld).toBe(true);
  });

  it('is refused when the limit is lowered below what it wants', async () => {
    const [a, b] = [lab.client('s', 3, 30_000), lab.client('s', 3, 30_000)];
    await b.semaphore.lock();
    const waiting = together(a, 3);
    await lab.clock.advance(10);
    await b.semaphore.setPermits(2);
    await lab.clock.advance(100);
    expect(waiting.error).toBeInstanceOf(RangeError);
  });

  it('leaves the others what its failed claim had reserved', async () => {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    const held = await b.semaphore.lock();
    const waiting = together(a);
    const other = outcome(a.semaphore.lock());
    await lab.clock.advance(10);
    const commit = a.wire.commit.bind(a.wire);
    a.wire.commit = async () => {
      a.wire.commit = commit;
      await settle();
      throw new Error('no batches');
    };
    await held.release();
    await lab.clock.advance(100);
    expect(waiting.error).toMatchObject({ message: 'no batches' });
    expect(other.value?.isHeld).toBe(true);
  });

  it('keeps nothing that it wins while the dispatcher is closing', async () => {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    const held = await b.semaphore.lock();
    const waiting = together(a);
    await lab.clock.advance(10);
    const answer = delayNextCommit(a);
    await held.release();
    await lab.clock.advance(10);
    const closed = a.engines.close();
    await settle();
    answer();
    await closed;
    await a.context.background.settled();
    expect(waiting.error).toMatchObject({ code: 'DISPATCHER_CLOSED' });
    expect(await b.semaphore.isLocked()).toBe(false);
  });

  it('and who watches, is told when the bucket can not be read any more', async () => {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    await b.semaphore.lock();
    const watching = outcome(lastOf(a.semaphore.watch()));
    const waiting = together(a);
    await lab.clock.advance(10);
    a.wire.read = () => Promise.reject(new TypeError('not to be read'));
    a.wire.cut();
    a.wire.mend();
    await lab.clock.advance(100);
    expect(waiting.error).toBeInstanceOf(TypeError);
    expect(watching.error).toBeInstanceOf(TypeError);
  });
});

describe('a permit', () => {
  it('is over when two partial releases during a renewal leave nothing of it', async () => {
    const a = lab.client('s', 2, 30_000);
    const permit = await a.semaphore.lock({ count: 2 });
    a.wire.delayAnswers();
    const ends = [permit.renew().catch(() => undefined), permit.release(1), permit.release(1)];
    await settle();
    a.wire.deliverAnswers();
    await Promise.all(ends);
    expect([permit.isHeld, permit.remaining]).toEqual([false, 0]);
    // The markers are the only thing that is left, for as long as the slots would have been held.
    await lab.clock.advance(31_000);
    expect(lab.clock.pending).toBe(0);
  });

  it('is released for as long as it may stand, if a renewal for longer was under way', async () => {
    const a = lab.client('s', 1, 2_000);
    const permit = await a.semaphore.lock();
    const { wire } = a;
    const tried: number[] = [];
    const commit = wire.commit.bind(wire);
    wire.commit = (writes, options) => {
      if (writes[0]?.value === null) tried.push((options?.until ?? Infinity) - lab.clock.now());
      return commit(writes, options);
    };
    wire.delayAnswers();
    const renewed = permit.renew(60_000).catch(() => undefined);
    await settle();
    const released = permit.release();
    wire.deliverAnswers();
    await Promise.all([renewed, released]);
    expect(tried).toEqual([expect.any(Number)]);
    expect(tried[0]).toBeGreaterThanOrEqual(60_000);
    expect(await a.semaphore.tryAcquire()).not.toBeNull();
  });

  it('is kept when a slot it gave back is gone before the answer comes', async () => {
    const a = lab.client('s', 2, 30_000);
    const permit = await a.semaphore.lock({ count: 2 });
    await lab.clock.advance(500);
    a.wire.cut();
    const [given] = permit.slots;
    const releasing = permit.release(1);
    await lab.wipe(`sem.s.slot.${given}`);
    await lab.clock.advance(1_500);
    a.wire.mend();
    await lab.clock.advance(100);
    await releasing;
    expect([permit.isHeld, permit.count]).toEqual([true, 1]);
  });

  it('is not lost with another one, older than it', async () => {
    const a = lab.client('s', 2, 30_000);
    const [older, younger] = [await a.semaphore.lock(), await a.semaphore.lock()];
    await lab.wipe(`sem.s.slot.${older.slots[0]}`);
    await lab.clock.advance(500);
    expect([older.isHeld, younger.isHeld]).toEqual([false, true]);
  });

  it('says so when it is refused a renewal', async () => {
    const a = lab.client('s', 1, 30_000);
    const permit = await a.semaphore.lock({ autoRenew: false });
    await lab.clock.advance(1_000);
    const commit = a.wire.commit.bind(a.wire);
    a.wire.commit = () => Promise.reject(new Error('the bucket is full'));
    await expect(permit.renew()).rejects.toThrow('the bucket is full');
    expect(permit.isHeld).toBe(true);
    a.wire.commit = commit;
    await permit.renew();
    expect(permit.remaining).toBeGreaterThan(28_000);
  });
});

interface Outcome<T> {
  value?: T;
  error?: unknown;
}

function outcome<T>(promise: Promise<T>): Outcome<T> {
  const known: Outcome<T> = {};
  promise.then(
    (value) => (known.value = value),
    (error: unknown) => (known.error = error),
  );
  return known;
}

async function lastOf<T>(items: AsyncIterable<T>): Promise<T | undefined> {
  let last: T | undefined;
  for await (const item of items) last = item;
  return last;
}

/** The next commit of a client is carried out, and answered when the returned function is called. */
function delayNextCommit({ wire }: LabClient): () => void {
  const commit = wire.commit.bind(wire);
  let answer = (): void => undefined;
  const answered = new Promise<void>((resolve) => (answer = resolve));
  wire.commit = async (writes, options) => {
    wire.commit = commit;
    const result = await commit(writes, options);
    await answered;
    return result;
  };
  return answer;
}

/** Counts a client's commits from now on; beyond `most` they are never answered, so that a hot loop ends. */
function countCommits({ wire }: LabClient, most: number): () => number {
  const commit = wire.commit.bind(wire);
  let count = 0;
  wire.commit = (writes, options) =>
    ++count > most ? new Promise<never>(() => undefined) : commit(writes, options);
  return () => count;
}
