import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Permit } from '../../src/permit';
import type { CommitResult } from '../../src/store/store';
import { Lab, type LabClient } from '../support/lab';

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
