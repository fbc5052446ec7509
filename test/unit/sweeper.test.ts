import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Permit } from '../../src/permit';
import { Lab } from '../support/lab';
import { rewriting } from '../support/sabotage';

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
