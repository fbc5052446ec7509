import { expect } from '@jest/globals';
import type { Permit } from '../../src/api/permit';
import { settle } from '../support/fake-clock';
import type { Lab, LabClient } from '../support/lab';

/** How long the clients of these stories keep a slot, in ms: longer than their leases, so that those have to end it. */
export const RETAIN_MS = 60_000;

const SLOT = 'sem.s.slot.0';

/** What must hold where slots are kept after a release, each as a story that fails if it does not. */
export const keepingScenarios: Record<string, (lab: Lab) => Promise<void>> = {
  async 'a kept slot is granted again without a write, and tokens grow with every grant'(lab) {
    const a = lab.client('s', 1, 30_000);
    await keepOne(a);
    const before = await revisionOf(lab, SLOT);
    const tokens: bigint[] = [];
    const ids = new Set<string>();
    for (let i = 0; i < 500; i++) {
      const permit = await a.semaphore.lock(1_000);
      expect(permit.isHeld).toBe(true);
      tokens.push(permit.fencingToken);
      ids.add(permit.id);
      expect(await permit.release()).toBe(true);
      expect([permit.isHeld, await permit.release()]).toEqual([false, false]);
    }
    expect(await revisionOf(lab, SLOT)).toBe(before);
    expect([ids.size, growing(tokens)]).toEqual([500, true]);
  },

  async 'tokens go on growing when a revision has no room for more grants'(lab) {
    const a = lab.client('s', 1, 30_000);
    await keepOne(a);
    const before = await revisionOf(lab, SLOT);
    const tokens: bigint[] = [];
    for (let i = 0; i < 2_500; i++) {
      const permit = await a.semaphore.lock(1_000);
      tokens.push(permit.fencingToken);
      await permit.release();
    }
    expect(await revisionOf(lab, SLOT)).toBeGreaterThan(before);
    expect(growing(tokens)).toBe(true);
  },

  async 'tokens grow from process to process'(lab) {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    const tokens: bigint[] = [];
    for (let i = 0; i < 20; i++) {
      for (const client of [a, a, b, b, b]) {
        const next = waitFor(client);
        await lab.clock.advance(10);
        tokens.push((next.permit as Permit).fencingToken);
        await next.permit?.release();
      }
    }
    expect(growing(tokens)).toBe(true);
  },

  async 'a process that was stopped past the lease does not use what it kept'(lab) {
    const [a, b] = [lab.client('s', 1, 2_000), lab.client('s', 1, 2_000)];
    await keepOne(a);
    // Stopped, and deaf: only its clock can tell.
    a.wire.delayAnswers();
    a.clock.pause();
    const next = waitFor(b);
    await lab.clock.advance(2_500);
    expect(next.permit?.isHeld).toBe(true);
    const late = waitFor(a);
    await settle();
    expect([next.permit?.isHeld, late.permit]).toEqual([true, undefined]);
    a.clock.resume();
    a.wire.deliverAnswers();
    await next.permit?.release();
    await lab.clock.advance(10_000);
    expect(late.permit?.isHeld).toBe(true);
  },

  async 'a note whose answer comes after the lease ended counts for nothing'(lab) {
    const [a, b] = [lab.client('s', 1, 2_000), lab.client('s', 1, 2_000)];
    const first = await a.semaphore.lock({ autoRenew: false });
    await lab.clock.advance(1_700);
    a.wire.delayAnswers();
    // Kept with little of its lease left, which a note prolongs.
    expect(await first.release()).toBe(true);
    await settle();
    a.clock.pause();
    // It is stored; then the expiry of the claim before it takes it away again, unseen.
    await lab.clock.advance(295);
    const next = waitFor(b);
    await lab.wipe(SLOT);
    await settle();
    expect(next.permit?.isHeld).toBe(true);
    a.wire.deliverAnswers();
    const late = waitFor(a);
    await settle();
    expect([next.permit?.isHeld, late.permit]).toEqual([true, undefined]);
  },

  async 'who dies with a kept slot is followed within the ttl'(lab) {
    const [a, b] = [lab.client('s', 1, 2_000), lab.client('s', 1, 2_000)];
    await keepOne(a);
    await lab.clock.advance(500);
    a.clock.pause();
    a.wire.cut();
    const next = waitFor(b);
    await lab.clock.advance(2_000);
    expect(next.permit?.isHeld).toBe(true);
  },

  async 'a kept slot is given up at once when somebody else waits'(lab) {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    await keepOne(a);
    const next = waitFor(b);
    await settle();
    await settle();
    expect(next.permit?.isHeld).toBe(true);
    expect(await wishes(lab)).toEqual([]);
  },

  async 'a kept slot that is written down is given up at once, too'(lab) {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    await keepOne(a);
    await lab.clock.advance(200);
    const status = await b.semaphore.status();
    expect(status).toMatchObject({ available: 1, holders: [], kept: [{ slot: 0, holder: 'client 0' }] });
    const next = waitFor(b);
    await lab.clock.advance(1);
    expect(next.permit?.isHeld).toBe(true);
  },

  async 'a kept slot is given up at once when somebody queues'(lab) {
    const [a, b] = [lab.client('s', 1, 30_000, true), lab.client('s', 1, 30_000, true)];
    await keepOne(a);
    const next = waitFor(b);
    await lab.clock.advance(1);
    expect(next.permit?.isHeld).toBe(true);
  },

  async 'who locks again and again lets in who waits, within one release'(lab) {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    await keepOne(a);
    const mine = await a.semaphore.lock();
    const next = waitFor(b);
    await lab.clock.advance(1);
    expect(await wishes(lab)).toHaveLength(1);
    await mine.release();
    await lab.clock.advance(1);
    expect(next.permit?.isHeld).toBe(true);
    // It does not wait any more: now a slot may be kept again.
    expect(await wishes(lab)).toEqual([]);
  },

  async 'waiters of one process take a slot from one another without a write, first come first'(lab) {
    const a = lab.client('s', 1, 30_000);
    await keepOne(a);
    const before = await revisionOf(lab, SLOT);
    const tokens: bigint[] = [];
    const served: number[] = [];
    const stays = Array.from({ length: 50 }, async (_, i) => {
      const permit = await a.semaphore.lock(1_000);
      served.push(i);
      tokens.push(permit.fencingToken);
      await settle();
      expect(permit.isHeld).toBe(true);
      await permit.release();
    });
    await Promise.all(stays);
    expect(served).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect([await revisionOf(lab, SLOT), growing(tokens)]).toEqual([before, true]);
  },

  async 'waiters of one process that take a slot from one another let others try for it who wait'(lab) {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    await keepOne(a);
    let givenBack = 0;
    const changed = ({ value }: { value: string | null }): void => void (value ?? givenBack++);
    lab.store.listen([SLOT], { changed, interrupted: () => undefined });
    let served = 0;
    const stays = Array.from({ length: 20 }, async () => {
      const permit = await a.semaphore.lock();
      await new Promise<void>((resolve) => lab.clock.after(20, resolve));
      served++;
      await permit.release();
    });
    while (served < 6) await lab.clock.advance(5);
    expect(givenBack).toBe(0);
    const next = waitFor(b);
    while (next.permit === undefined) await lab.clock.advance(5);
    // Whoever hears of it first has it: here that is mostly the one who gave it back.
    expect(givenBack).toBeGreaterThanOrEqual(Math.floor((served - 6) / 2));
    await next.permit.release();
    await Promise.all([...stays, lab.clock.advance(1_000)]);
  },

  async 'who wants something else is not passed by those who take a kept slot from one another'(lab) {
    const a = lab.client('s', 2, 30_000);
    await keepOne(a);
    const served: string[] = [];
    const stay = async (name: string, count: number): Promise<void> => {
      const permit = await a.semaphore.lock({ count });
      served.push(name);
      await settle();
      await permit.release();
    };
    const held = await a.semaphore.lock();
    const stays = [stay('one', 1), stay('pair', 2), stay('two', 1), stay('three', 1)];
    await settle();
    await held.release();
    await Promise.all([...stays, lab.clock.advance(1_000)]);
    expect(served).toEqual(['one', 'pair', 'two', 'three']);
  },

  async 'a wish that is lost costs the time that slots are kept, and no more'(lab) {
    const a = lab.client('s', 1, 30_000);
    const b = lab.client('s', 1, 30_000);
    await keepOne(a);
    const next = waitFor(b);
    a.wire.delayAnswers();
    await settle();
    expect(next.permit).toBeUndefined();
    await lab.clock.advance(RETAIN_MS);
    expect(next.permit?.isHeld).toBe(true);
  },

  async 'what somebody else removed or wrote over is forgotten'(lab) {
    const a = lab.client('s', 1, 30_000);
    for (const foreign of [
      null,
      '{"v":1,"permit":"p","holder":"h","since":"2026-03-01T12:00:00.000Z","ttl":30000}',
    ]) {
      await keepOne(a);
      const revision = await revisionOf(lab, SLOT);
      await lab.store.commit([{ key: SLOT, expected: revision, value: foreign }]);
      await settle();
      const next = waitFor(a);
      await settle();
      expect(next.permit?.isHeld).toBe(foreign === null ? true : undefined);
      await next.permit?.release();
    }
  },

  async 'a lowered limit holds for what is kept'(lab) {
    const [a, b] = [lab.client('s', 2, 30_000), lab.client('s', 2, 30_000)];
    const held = await b.semaphore.lock();
    await keepOne(a);
    await b.semaphore.setPermits(1);
    await lab.clock.advance(1);
    const next = waitFor(a);
    await lab.clock.advance(1_000);
    expect([held.isHeld, next.permit]).toEqual([true, undefined]);
    await held.release();
    await lab.clock.advance(300);
    expect(next.permit?.isHeld).toBe(true);
  },

  async 'what can not be granted from a kept slot is granted without it'(lab) {
    const a = lab.client('s', 2, 30_000);
    await keepOne(a);
    for (const options of [{ ttl: 5_000 }, { autoRenew: false }, { count: 2 }]) {
      const next = waitFor(a, options);
      await lab.clock.advance(1);
      expect(next.permit?.isHeld).toBe(true);
      await next.permit?.release();
    }
    const all = await a.semaphore.drainPermits();
    expect(all?.count).toBe(2);
  },

  async 'a permit from a kept slot can be seen, renewed and taken away like any other'(lab) {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    await keepOne(a);
    const permit = await a.semaphore.lock();
    expect((await a.semaphore.status()).holders).toMatchObject([{ permitId: permit.id }]);
    await lab.clock.advance(200);
    const [seen] = (await b.semaphore.status()).holders;
    expect(seen).toMatchObject({ permitId: permit.id, fencingToken: permit.fencingToken });
    await lab.clock.advance(60_000);
    expect(permit.isHeld).toBe(true);
    expect(await b.semaphore.forceRelease(permit.id)).toBe(true);
    await settle();
    expect(permit.isHeld).toBe(false);
    expect(permit.signal.aborted).toBe(true);
  },

  async 'a slot that nobody wants is given back in the end'(lab) {
    const a = lab.client('s', 1, 2_000);
    await keepOne(a);
    await lab.clock.advance(3_000);
    const left = await lab.store.read(['sem.s.slot.*']);
    expect(left.filter(({ value }) => value !== null)).toEqual([]);
  },
};

/** Has a client keep a slot: it listens while its first permit lasts, and keeps that of the second. */
async function keepOne({ semaphore }: LabClient): Promise<void> {
  const permit = await semaphore.lock();
  await settle();
  expect(await permit.release()).toBe(true);
}

function waitFor({ semaphore }: LabClient, options = {}): { permit?: Permit } {
  const waiting: { permit?: Permit } = {};
  void semaphore.lock(options).then((permit) => (waiting.permit = permit));
  return waiting;
}

function growing(tokens: readonly bigint[]): boolean {
  return tokens.every((token, i) => i === 0 || token > (tokens[i - 1] as bigint));
}

async function revisionOf(lab: Lab, key: string): Promise<number> {
  return (await lab.store.read([key]))[0]?.revision ?? 0;
}

async function wishes(lab: Lab): Promise<string[]> {
  const entries = await lab.store.read(['sem.s.wish.*']);
  return entries.filter(({ value }) => value !== null).map(({ key }) => key);
}
