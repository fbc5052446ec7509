import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Dispatcher, Lock, LockOptions, Mutex, Permit } from '../../src';
import type { Watchable } from '../../src/api/slot-lock';
import type { SlotStatus } from '../../src/api/status';
import { soon } from '../support/soon';
import { whileWatched } from '../support/while-watched';
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
  /** Who holds it gets it again. */
  readonly reentrant?: true;
}

const nothing = (): Promise<() => Promise<unknown>> => Promise.resolve(() => Promise.resolve());

const WAYS: readonly Way[] = [
  {
    name: 'reentrant Mutex',
    make: (dispatcher, name, options) => dispatcher.mutex(name, { ...options, reentrant: true }),
    prepare: nothing,
    reentrant: true,
  },
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
  reentrantSuite(where, makeWorld);
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
      await soon(world, async () => expect(await world.keys()).toEqual([]));
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
      await soon(world, async () =>
        expect([await here.isLocked(), await there.isLocked()]).toEqual([false, false]),
      );
      const permit = await here.lock(5_000);
      await soon(world, async () =>
        expect([await here.isLocked(), await there.isLocked()]).toEqual([true, true]),
      );
      expect(await there.tryAcquire()).toBeNull();
      const again = await here.tryAcquire();
      expect(again?.id).toBe(way.reentrant ? permit.id : undefined);
      await again?.release();
      await whileWatched([there], () =>
        expect(there.lock(50)).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT', primitive: 'm' }),
      );
      expect(await permit.release()).toBe(true);
      await soon(world, async () => expect(await there.isLocked()).toBe(false));
      const next = await soon(world, async () => {
        const taken = await there.tryAcquire();
        expect(taken?.isHeld).toBe(true);
        return taken;
      });
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
      await soon(world, async () => expect(await way.make(b, 'm').forceRelease(permit.id)).toBe(true));
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

function reentrantSuite(where: string, makeWorld: () => Promise<SemaphoreWorld>): void {
  describe(`mutex: reentrant ${where}`, () => {
    let world: SemaphoreWorld;
    let a: Dispatcher;
    let b: Dispatcher;
    let mutex: Mutex;

    beforeEach(async () => {
      world = await makeWorld();
      a = await world.open();
      b = await world.open();
      mutex = a.mutex('m', { reentrant: true });
    });

    afterEach(async () => {
      await a.close();
      await b.close();
      const left = await world.keys();
      await world.close();
      expect(left).toEqual([]);
    });

    /** Whether somebody else could have it. */
    const isFree = async (): Promise<boolean> => !(await b.mutex('m').isLocked());
    const isFreed = (): Promise<void> => soon(world, async () => expect(await isFree()).toBe(true));
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

    it('lets in again what holds it, counted, and is released with the outermost', async () => {
      const outer = await mutex.lock(5_000);
      await turn();
      const handle = a.mutex('m', { reentrant: true });
      const nested = async (): Promise<Permit> => {
        await turn();
        return handle.acquire({ timeout: 1_000 });
      };
      const inner = await nested();
      const third = await mutex.tryAcquire();
      expect([inner.id, inner.fencingToken]).toEqual([outer.id, outer.fencingToken]);
      expect(inner.signal).toBe(outer.signal);
      expect([await third?.release(), await third?.release()]).toEqual([true, false]);
      expect([await inner.release(), await inner.release()]).toEqual([true, false]);
      expect([inner.isHeld, outer.isHeld, await isFree()]).toEqual([false, true, false]);
      expect(inner.remaining).toBe(0);
      await expect(inner.renew()).rejects.toMatchObject({ code: 'PERMIT_LOST' });
      await outer.renew();
      expect(await outer.release()).toBe(true);
      await isFreed();
      const next = await mutex.lock(5_000);
      expect(next.fencingToken).toBeGreaterThan(outer.fencingToken);
      await next.release();
    });

    it('lets in again what the work calls, and nothing else', async () => {
      let inside = false;
      const first = mutex.lock(5_000, async (outer) => {
        inside = true;
        await turn();
        await mutex.lock(1_000, async (inner) => expect(inner.id).toBe(outer.id));
        await using inner = await mutex.lock(1_000);
        expect(inner.id).toBe(outer.id);
        expect(await isFree()).toBe(false);
        inside = false;
      });
      const second = mutex.lock(5_000, async () => expect(inside).toBe(false));
      await Promise.all([first, second]);
      await isFreed();
    });

    it('holds until the last is released, in whatever order', async () => {
      const outer = await mutex.lock(5_000);
      const inner = await mutex.lock(1_000);
      expect(await outer.release()).toBe(true);
      expect([outer.isHeld, inner.isHeld, await isFree()]).toEqual([false, true, false]);
      const third = await mutex.lock(1_000);
      expect(third.id).toBe(inner.id);
      await inner.release();
      expect(await isFree()).toBe(false);
      await third.release();
      await isFreed();
    });

    it('excludes calls that were made side by side', async () => {
      let inside = 0;
      let most = 0;
      const ids = new Set<string>();
      const task = async (): Promise<void> => {
        await using permit = await mutex.lock(20_000);
        most = Math.max(most, ++inside);
        ids.add(permit.id);
        await turn();
        await using again = await mutex.lock(1_000);
        expect(again.id).toBe(permit.id);
        inside--;
      };
      await Promise.all(Array.from({ length: 10 }, task));
      expect([most, ids.size]).toEqual([1, 10]);
      await Promise.all(
        Array.from({ length: 10 }, () =>
          mutex.lock(20_000, async () => {
            most = Math.max(most, ++inside);
            await turn();
            inside--;
          }),
        ),
      );
      expect(most).toBe(1);
    });

    it('excludes other dispatchers, other names, and handles that do not say so', async () => {
      await using outer = await mutex.lock(5_000);
      expect(await b.mutex('m', { reentrant: true }).tryAcquire()).toBeNull();
      expect(await a.mutex('m').tryAcquire()).toBeNull();
      await using other = await a.mutex('other', { reentrant: true }).lock(5_000);
      expect(other.id).not.toBe(outer.id);
      expect((await mutex.tryAcquire())?.id).toBe(outer.id);
      await (await mutex.lock()).release();
      // The one taken by tryAcquire above is still counted.
      await outer.release();
      expect(await isFree()).toBe(false);
    });

    it('tells all who hold it of a loss, and acquires anew afterwards', async () => {
      const outer = await mutex.lock(5_000);
      const inner = await mutex.lock(1_000);
      const lost = new Promise((resolve) => inner.signal.addEventListener('abort', resolve));
      await soon(world, async () => expect(await b.mutex('m').forceRelease(inner.id)).toBe(true));
      await lost;
      expect([outer.isHeld, inner.isHeld, outer.signal.aborted]).toEqual([false, false, true]);
      const next = await mutex.lock(5_000);
      expect(next.fencingToken).toBeGreaterThan(outer.fencingToken);
      expect([await inner.release(), await outer.release()]).toEqual([false, false]);
      expect([next.isHeld, (await mutex.lock(1_000)).id]).toEqual([true, next.id]);
    });

    it('is not held by what outlives the work', async () => {
      let late: Promise<Permit | null> | undefined;
      let go = (): void => undefined;
      const gone = new Promise<void>((resolve) => (go = resolve));
      await mutex.lock(5_000, () => {
        late = gone.then(() => mutex.tryAcquire());
      });
      const held = await b.mutex('m').lock(5_000);
      go();
      expect(await late).toBeNull();
      await held.release();
    });

    it('acquires again after it did not get it', async () => {
      const held = await b.mutex('m').lock(5_000);
      await whileWatched([mutex], () =>
        expect(mutex.lock(20)).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' }),
      );
      expect(await mutex.tryAcquire()).toBeNull();
      await held.release();
      await (await mutex.lock(5_000)).release();
      await isFreed();
    });

    it('refuses bad options, also of who holds it', async () => {
      await using permit = await mutex.lock(5_000);
      expect(permit.isHeld).toBe(true);
      await expect(mutex.lock({ count: 2 } as LockOptions)).rejects.toThrow(RangeError);
      await expect(mutex.lock({ ttl: 1 })).rejects.toThrow(RangeError);
      await expect(mutex.lock({ signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow('no');
      expect(() => a.mutex('m', { reentrant: 'yes' as unknown as boolean })).toThrow(TypeError);
    });
  });
}
