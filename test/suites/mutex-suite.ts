import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Dispatcher, Lock, LockOptions } from '../../src';
import type { Watchable } from '../../src/slot-lock';
import type { SlotStatus } from '../../src/status';
import type { SemaphoreWorld } from './semaphore-suite';

type MutexLike = Lock & Watchable<SlotStatus>;

interface MutexSettings {
  ttl?: number;
  fair?: boolean;
}

/** Something that excludes all others: how to get it, and how to make the bucket ready for it. */
interface Way {
  readonly name: string;
  make(dispatcher: Dispatcher, name: string, options?: MutexSettings): MutexLike;
  prepare(dispatcher: Dispatcher, name: string): Promise<() => Promise<unknown>>;
}

const nothing = (): Promise<() => Promise<unknown>> => Promise.resolve(() => Promise.resolve());

const WAYS: readonly Way[] = [
  { name: 'Mutex', make: (dispatcher, name, options) => dispatcher.mutex(name, options), prepare: nothing },
  {
    name: 'Semaphore(1)',
    make: (dispatcher, name, options) => dispatcher.semaphore(name, 1, options),
    prepare: nothing,
  },
  {
    name: 'Semaphore(5) with four permits drained',
    make: (dispatcher, name, options) => dispatcher.semaphore(name, 5, options),
    prepare: async (dispatcher, name) => {
      const semaphore = dispatcher.semaphore(name, 5);
      const one = await semaphore.lock();
      const rest = await semaphore.drainPermits();
      await one.release();
      expect(rest?.count).toBe(4);
      return async () => rest?.release();
    },
  },
];

/** What a mutex does, on everything that is to behave like one. */
export function mutexSuites(where: string, makeWorld: () => Promise<SemaphoreWorld>): void {
  for (const way of WAYS) mutexSuite(`${way.name} ${where}`, way, makeWorld);
  ownSuite(where, makeWorld);
}

/** What only a Mutex does. */
function ownSuite(where: string, makeWorld: () => Promise<SemaphoreWorld>): void {
  describe(`mutex: as such ${where}`, () => {
    let world: SemaphoreWorld;
    let a: Dispatcher;

    beforeEach(async () => {
      world = await makeWorld();
      a = await world.open();
    });

    afterEach(async () => {
      await a.close();
      await world.close();
    });

    it('is something else than the semaphore of its name', async () => {
      const mutex = await a.mutex('same').lock(5_000);
      const semaphore = await a.semaphore('same', 1).lock(5_000);
      expect([mutex.isHeld, semaphore.isHeld]).toEqual([true, true]);
      expect(await a.list()).toEqual([
        { name: 'same', kind: 'mutex', slots: 1, held: 1, waiting: 0 },
        { name: 'same', kind: 'semaphore', slots: 1, held: 1, waiting: 0 },
      ]);
    });

    it('stores nothing but who holds it', async () => {
      const permit = await a.mutex('m').lock(5_000);
      expect(await world.keys()).toEqual(['mutex.m.slot.0']);
      expect(await a.mutex('m').status()).toMatchObject({ kind: 'mutex', slots: 1, available: 0 });
      await permit.release();
      expect(await world.keys()).toEqual([]);
      expect(await a.list()).toEqual([]);
    });

    it('is acquired together with semaphores', async () => {
      const [mutex, semaphore] = [a.mutex('m'), a.semaphore('s', 2)];
      const all = await a.acquireAll([{ semaphore: mutex }, { semaphore, count: 2 }], { timeout: 5_000 });
      expect(all.count).toBe(3);
      expect([await mutex.isLocked(), await semaphore.isLocked()]).toEqual([true, true]);
      await all.release();
      expect([await mutex.isLocked(), await semaphore.isLocked()]).toEqual([false, false]);
    });

    it('refuses more than it has', async () => {
      const two = { count: 2 } as LockOptions;
      await expect(a.mutex('m').lock(two)).rejects.toThrow(
        new RangeError('count must be a whole number from 1 to 1 (a mutex), got 2'),
      );
      await expect(a.acquireAll([{ semaphore: a.mutex('m'), count: 2 }])).rejects.toThrow(RangeError);
    });
  });
}

function mutexSuite(title: string, way: Way, makeWorld: () => Promise<SemaphoreWorld>): void {
  describe(`mutex: ${title}`, () => {
    let world: SemaphoreWorld;
    let a: Dispatcher;
    let b: Dispatcher;
    let undo: () => Promise<unknown>;

    beforeEach(async () => {
      world = await makeWorld();
      a = await world.open();
      b = await world.open();
      undo = await way.prepare(a, 'm');
    });

    afterEach(async () => {
      await undo();
      await a.close();
      await b.close();
      const left = (await world.keys()).filter((key) => !key.endsWith('.limit'));
      await world.close();
      expect(left).toEqual([]);
    });

    it('lets in one at a time, and tokens grow from grant to grant', async () => {
      let inside = 0;
      let most = 0;
      const tokens: bigint[] = [];
      const work = async (dispatcher: Dispatcher): Promise<void> => {
        for (let i = 0; i < 10; i++) {
          await way.make(dispatcher, 'm').lock(20_000, async (permit) => {
            most = Math.max(most, ++inside);
            tokens.push(permit.fencingToken);
            await new Promise((resolve) => setImmediate(resolve));
            inside--;
          });
        }
      };
      await Promise.all([work(a), work(a), work(b), work(b)]);
      expect(most).toBe(1);
      expect(tokens).toHaveLength(40);
      const ascending = [...tokens].sort((x, y) => (x < y ? -1 : 1));
      // A Semaphore(5) may grant another slot each time: only a slot's own tokens are ordered, and so is the stream's sequence.
      expect(tokens).toEqual(ascending);
    });

    it('is locked for all others while it is held, and no longer', async () => {
      const [here, there] = [way.make(a, 'm'), way.make(b, 'm')];
      expect([await here.isLocked(), await there.isLocked()]).toEqual([false, false]);
      const permit = await here.lock(5_000);
      expect([await here.isLocked(), await there.isLocked()]).toEqual([true, true]);
      expect([await here.tryAcquire(), await there.tryAcquire()]).toEqual([null, null]);
      await expect(there.lock(50)).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT', primitive: 'm' });
      expect(await permit.release()).toBe(true);
      expect(await there.isLocked()).toBe(false);
      const next = await there.tryAcquire();
      expect(next?.isHeld).toBe(true);
      expect(await permit.release()).toBe(false);
      expect(next?.isHeld).toBe(true);
      await next?.release();
    });

    it.each([false, true])('wakes the next when it is released (fair: %s)', async (fair) => {
      const first = await way.make(a, 'm', { fair }).lock(5_000);
      const waiting = way.make(b, 'm', { fair }).lock(10_000);
      // A round trip later it waits.
      expect(await way.make(b, 'm').isLocked()).toBe(true);
      await first.release();
      const second = await waiting;
      expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
      await second.release();
    });

    it('releases however the work ends', async () => {
      const mutex = way.make(a, 'm');
      expect(await mutex.lock(5_000, () => 'done')).toBe('done');
      await expect(mutex.lock(5_000, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
      expect(await mutex.isLocked()).toBe(false);
      {
        await using permit = await mutex.lock(5_000);
        expect(permit.isHeld).toBe(true);
      }
      expect(await mutex.isLocked()).toBe(false);
    });

    it('gives up when the signal aborts, and the next is served', async () => {
      const held = await way.make(a, 'm').lock(5_000);
      const leaving = new AbortController();
      const left = way.make(b, 'm').lock({ signal: leaving.signal });
      const stays = way.make(b, 'm').lock(10_000);
      leaving.abort(new Error('left'));
      await expect(left).rejects.toThrow('left');
      await held.release();
      await (await stays).release();
    });

    it('can be taken away by an operator', async () => {
      const permit = await way.make(a, 'm').lock(5_000);
      const lost = new Promise((resolve) => permit.signal.addEventListener('abort', resolve));
      expect(await way.make(b, 'm').forceRelease(permit.id)).toBe(true);
      await lost;
      expect(permit.isHeld).toBe(false);
      const next = await way.make(b, 'm').lock(5_000);
      expect(await permit.release()).toBe(false);
      await next.release();
    });

    it('shows who holds it', async () => {
      const mutex = way.make(a, 'm');
      const held = await mutex.lock(5_000);
      const shown = (await mutex.status()).holders.find(({ permitId }) => permitId === held.id);
      expect(shown).toMatchObject({ slots: held.slots, fencingToken: held.fencingToken });
      expect((await mutex.status()).available).toBe(0);
      await held.release();
    });
  });
}
