import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Dispatcher } from '../../src/api/dispatcher';
import type { Permit } from '../../src/api/permit';
import { eventually } from '../support/eventually';
import type { SemaphoreWorld } from './semaphore-suite';

/** Names that go: by hand, or by themselves when they are not used. */
export function removalSuite(name: string, makeWorld: () => Promise<SemaphoreWorld>): void {
  describe(`removal: ${name}`, () => {
    let world: SemaphoreWorld;
    let a: Dispatcher;
    let b: Dispatcher;

    beforeEach(async () => {
      world = await makeWorld();
      [a, b] = [await world.open({ holder: 'a' }), await world.open({ holder: 'b' })];
    });

    afterEach(async () => {
      await Promise.all([a.close(), b.close()]);
      await world.close();
    });

    const nothingLeft = (): Promise<void> =>
      eventually(async () => expect(await world.keys()).toEqual([]), 10_000);

    /** One of each kind, used once. */
    const used: Readonly<Record<string, (dispatcher: Dispatcher) => Promise<() => Promise<boolean>>>> = {
      semaphore: async (dispatcher) => {
        const semaphore = dispatcher.semaphore('s', 3);
        await semaphore.lock(5_000, () => undefined);
        return () => semaphore.remove();
      },
      mutex: async (dispatcher) => {
        const mutex = dispatcher.mutex('m');
        await mutex.lock(5_000, () => undefined);
        return () => mutex.remove();
      },
      'read-write lock': async (dispatcher) => {
        const lock = dispatcher.readWriteLock('rw');
        await lock.read.lock(5_000, () => undefined);
        await lock.write.lock(5_000, () => undefined);
        return () => lock.remove();
      },
      latch: async (dispatcher) => {
        const latch = dispatcher.latch('l', 2);
        await latch.countDown(2);
        return () => latch.remove();
      },
    };

    it.each(Object.entries(used))('leaves nothing of a %s that is not used any more', async (kind, use) => {
      const remove = await use(a);
      // Only these store anything that outlives its use.
      expect(await remove()).toBe(kind === 'semaphore' || kind === 'latch');
      await nothingLeft();
      expect(await remove()).toBe(false);
      expect(await a.list()).toEqual([]);
    });

    it('lets a removed name start anew, with another limit and larger tokens', async () => {
      const before = await a.semaphore('s', 3).acquire();
      const token = before.fencingToken;
      await before.release();
      await b.semaphore('s', 3).lock(5_000, () => undefined);
      await a.semaphore('s').remove();
      // What was announced before an answer is dispatched before it: from here on this process knows.
      expect(await b.list()).toEqual([]);
      const after = await b.semaphore('s', 5).acquire();
      expect(after.fencingToken).toBeGreaterThan(token);
      expect((await a.semaphore('s').status()).slots).toBe(5);
      await after.release();
    });

    it('refuses what is held or waited for, and says so', async () => {
      const permit = await b.semaphore('s', 1).acquire();
      await expect(a.semaphore('s').remove()).rejects.toMatchObject({ code: 'IN_USE', primitive: 's' });
      const waiting = a.semaphore('s', 1, { fair: true }).acquire();
      await eventually(async () => expect((await b.semaphore('s').status()).waiters).toHaveLength(1));
      await expect(b.semaphore('s').remove()).rejects.toThrow('1 permits are held and 1 waiters queue');
      expect(permit.isHeld).toBe(true);
      await permit.release();
      await (await waiting).release();
      const latch = a.latch('l', 2);
      await latch.countDown();
      await expect(latch.remove()).rejects.toMatchObject({ code: 'IN_USE' });
      const writing = await a.readWriteLock('rw').write.acquire();
      await expect(b.readWriteLock('rw').remove()).rejects.toMatchObject({ code: 'IN_USE' });
      await writing.release();
    });

    it.each([false, true])(
      'by force ends holders, waiters (fair: %s) and watchers in all processes',
      async (fair) => {
        const held: Permit[] = [await a.semaphore('s', 2).acquire(), await b.semaphore('s', 2).acquire()];
        const waiting = [a, b].map((dispatcher) => dispatcher.semaphore('s', 2, { fair }).acquire());
        const ends = waiting.map((wait) => wait.catch((error: { code: string }) => error.code));
        const watching = (async () => {
          for await (const { holders } of b.semaphore('s').watch())
            if (holders.length === 0) return 'not told';
          return 'ended';
        })().catch((error: { code: string }) => error.code);
        if (fair)
          await eventually(async () => expect((await a.semaphore('s').status()).waiters).toHaveLength(2));
        await eventually(async () => expect((await a.semaphore('s').status()).available).toBe(0));
        await new Promise((resolve) => setTimeout(resolve, 300));

        expect(await a.semaphore('s').remove({ force: true })).toBe(true);
        expect(await Promise.all(ends)).toEqual(['REMOVED', 'REMOVED']);
        expect(await watching).toBe('REMOVED');
        await eventually(() => expect(held.map(({ isHeld }) => isHeld)).toEqual([false, false]));
        expect((held[1]?.signal.reason as Error).message).toContain('removed by a');
        await nothingLeft();
      },
    );

    it('by force ends those who wait for a latch', async () => {
      const waiting = b
        .latch('l', 2)
        .wait()
        .catch((error: { code: string }) => error.code);
      await a.latch('l', 2).countDown();
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(await a.latch('l').remove({ force: true })).toBe(true);
      expect(await waiting).toBe('LATCH_LOST');
      await nothingLeft();
    });

    it('removes what list shows, whatever it is', async () => {
      for (const use of Object.values(used)) await use(a);
      for (const primitive of await b.list()) expect(await b.remove(primitive)).toBe(true);
      await nothingLeft();
      await expect(a.remove({ kind: 'door' as 'mutex', name: 'x' })).rejects.toThrow('kind must be');
      await expect(a.mutex('m').remove({ forced: true } as object)).rejects.toThrow('did you mean force');
    });

    it('a limit goes when the name was not used for forgetAfter, and not while it is', async () => {
      const options = { forgetAfter: 2_000, ttl: 2_000 };
      const semaphore = a.semaphore('s', 2, options);
      const permit = await semaphore.acquire();
      await b.semaphore('unused', 2, options).lock(5_000, () => undefined);
      // Longer than the limit would last by itself.
      await new Promise((resolve) => setTimeout(resolve, 4_500));
      expect(permit.isHeld).toBe(true);
      expect((await world.keys()).sort()).toEqual(['sem.s.limit', `sem.s.slot.${permit.slots[0]}`]);
      await permit.release();
      await nothingLeft();
      // It is as if it had never been.
      await b.semaphore('s', 7, options).lock(5_000, () => undefined);
      expect((await a.semaphore('s').status()).slots).toBe(7);
    });

    it('a limit that another process changes keeps its forgetAfter', async () => {
      await a.semaphore('s', 2, { forgetAfter: 2_000 }).lock(5_000, () => undefined);
      await b.semaphore('s').setPermits(5);
      expect((await a.semaphore('s').status()).slots).toBe(5);
      await nothingLeft();
    });
  });
}
