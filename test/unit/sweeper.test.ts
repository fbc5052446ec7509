import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Permit } from '../../src/api/permit';
import { Lab } from '../support/lab';
import type { Entry } from '../../src/store/store';
import { rewriting, withMethods } from '../support/sabotage';

const TTL_MS = 3_000;

let lab: Lab;

/** A store that forgets to expire what clients hold and queue with. */
beforeEach(() => {
  lab = new Lab(
    rewriting(({ ttl, ...write }) =>
      Promise.resolve(write.value === null && ttl !== undefined ? { ...write, ttl } : write),
    ),
  );
});

afterEach(() => lab.close());

/** Waits, and says what came of it. */
function waiting(acquiring: Promise<Permit>): { permit?: Permit } {
  const seen: { permit?: Permit } = {};
  acquiring.then(
    (permit) => (seen.permit = permit),
    () => undefined,
  );
  return seen;
}

describe('what the server forgets to expire', () => {
  it('a slot of a dead holder is taken over, but not before its lease is over for certain', async () => {
    const [dead, alive] = [lab.client('s', 1, TTL_MS), lab.client('s', 1, TTL_MS)];
    const held = await dead.semaphore.lock();
    dead.wire.cut();
    const seen = waiting(alive.semaphore.lock());
    await lab.clock.advance(TTL_MS + 1_900);
    expect([held.isHeld, seen.permit]).toEqual([false, undefined]);
    await lab.clock.advance(2_200);
    expect(seen.permit?.isHeld).toBe(true);
    expect(seen.permit!.fencingToken > held.fencingToken).toBe(true);
  });

  it('a slot of a dead holder is taken over by waiters that each wait for less than its ttl', async () => {
    const [dead, alive] = [lab.client('s', 1, TTL_MS), lab.client('s', 1, TTL_MS)];
    await dead.semaphore.lock();
    dead.wire.cut();
    let granted: Permit | null = null;
    for (let waits = 0; granted === null && waits < 10; waits++) {
      const waiting = alive.semaphore.tryAcquire({ timeout: 900 });
      await lab.clock.advance(1_000);
      granted = await waiting;
    }
    expect(granted?.isHeld).toBe(true);
  });

  it('a holder who renews keeps his slot, however long others wait', async () => {
    const [busy, other] = [lab.client('s', 1, TTL_MS), lab.client('s', 1, TTL_MS)];
    const held = await busy.semaphore.lock();
    const seen = waiting(other.semaphore.lock());
    await lab.clock.advance(60_000);
    expect([held.isHeld, seen.permit]).toEqual([true, undefined]);
    await held.release();
    await lab.clock.advance(100);
    expect(seen.permit?.isHeld).toBe(true);
  });

  it('a waiter that was stopped for long does not take the slot of one who renews', async () => {
    const [busy, other] = [lab.client('s', 1, TTL_MS), lab.client('s', 1, TTL_MS)];
    const held = await busy.semaphore.lock();
    const seen = waiting(other.semaphore.lock());
    await lab.clock.advance(1_000);
    // What it would have heard meanwhile waits to be read.
    other.wire.cut();
    await lab.clock.advance(30_000);
    other.wire.mend();
    await lab.clock.advance(5_000);
    expect([held.isHeld, seen.permit]).toEqual([true, undefined]);
  });

  it('a hold is not taken for older than it is by one who asked long before it began', async () => {
    const [late, other] = [lab.client('s', 1, TTL_MS), lab.client('s', 1, 10_000)];
    late.wire.cut();
    const seen = waiting(late.semaphore.lock());
    await lab.clock.advance(13_000);
    const held = await other.semaphore.lock({ autoRenew: false });
    late.wire.mend();
    await lab.clock.advance(8_000);
    expect([held.isHeld, seen.permit]).toEqual([true, undefined]);
  });

  it('a ticket of a dead waiter does not hold up the queue for ever', async () => {
    const clients = [1, 2, 3].map(() => lab.client('s', 1, 30_000, true));
    const [holder, dead, alive] = clients as [(typeof clients)[0], (typeof clients)[0], (typeof clients)[0]];
    const held = await holder.semaphore.lock();
    void waiting(dead.semaphore.lock());
    await lab.clock.advance(100);
    const seen = waiting(alive.semaphore.lock());
    await lab.clock.advance(100);
    dead.wire.cut();
    await held.release();
    await lab.clock.advance(5_000);
    expect(seen.permit).toBeUndefined();
    await lab.clock.advance(12_000);
    expect(seen.permit?.isHeld).toBe(true);
  });

  it('a dead reader does not keep out those who write for ever', async () => {
    const [dead, alive] = [lab.client('s', 1, TTL_MS), lab.client('s', 1, TTL_MS)];
    const read = await dead.lock.read.acquire();
    dead.wire.cut();
    const seen = waiting(alive.lock.write.acquire());
    await lab.clock.advance(TTL_MS + 1_900);
    expect([read.isHeld, seen.permit]).toEqual([false, undefined]);
    await lab.clock.advance(2_200);
    expect(seen.permit?.isHeld).toBe(true);
  });
});

describe('tickets that a server has again after a change of leader', () => {
  const GHOSTS = 300;

  /** Three clients, of which one holds and two queue; and a store that can come back with tickets of long ago. */
  async function queue() {
    const ghosts = new Map<string, Entry>();
    lab = new Lab((store) =>
      withMethods(store, {
        read: async (patterns, options) => [...(await store.read(patterns, options)), ...ghosts.values()],
        commit: async (writes, options) => {
          const [write] = writes as [(typeof writes)[0]];
          const ghost = ghosts.get(write.key);
          if (ghost === undefined) return store.commit(writes, options);
          if (ghost.revision !== write.expected) return { committed: false, actual: ghost.revision };
          ghosts.delete(write.key);
          return store.commit([{ ...write, expected: 0 }], options);
        },
      }),
    );
    await lab.store.commit([{ key: 'sem.other.limit', expected: 0, value: '{}' }]);
    await lab.clock.advance(400_000);
    const clients = [1, 2, 3].map(() => lab.client('s', 1, 30_000, true));
    const [holder, ...waiters] = clients as [(typeof clients)[0], ...typeof clients];
    const held = await holder.semaphore.lock();
    const first = waiting(waiters[0]!.semaphore.lock());
    await lab.clock.advance(100);
    const second = waiting(waiters[1]!.semaphore.lock());
    await lab.clock.advance(4_000);
    const comeBack = (age: number): void => {
      const writtenAt = lab.clock.wallTime() - age;
      const value = JSON.stringify({
        v: 1,
        holder: 'x',
        since: '2026-01-01T00:00:00.000Z',
        ttl: 10_000,
        count: 1,
      });
      for (let i = 0; i < GHOSTS; i++) {
        const key = `sem.s.ticket.ghost-${i}`;
        ghosts.set(key, { key, revision: 1, value, writtenAt });
      }
      for (const { wire } of clients) {
        wire.cut();
        wire.mend();
      }
    };
    return { held, first, second, ghosts, comeBack };
  }

  it('hold up the queue for as long as it takes to look, not for as long as tickets live', async () => {
    const { held, first, second, ghosts, comeBack } = await queue();
    comeBack(300_000);
    await lab.clock.advance(10);
    await held.release();
    await lab.clock.advance(1_500);
    expect([first.permit?.isHeld, ghosts.size]).toEqual([true, 0]);
    expect(second.permit).toBeUndefined();
    await first.permit!.release();
    await lab.clock.advance(100);
    expect(second.permit?.isHeld).toBe(true);
  });

  it('are left alone while they could be those of somebody who waits', async () => {
    const { held, first, ghosts, comeBack } = await queue();
    comeBack(2_000);
    await lab.clock.advance(10);
    await held.release();
    await lab.clock.advance(9_000);
    expect([first.permit, ghosts.size]).toEqual([undefined, GHOSTS]);
    await lab.clock.advance(4_000);
    expect([first.permit?.isHeld, ghosts.size]).toEqual([true, 0]);
  });
});
