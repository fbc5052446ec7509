import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Dispatcher, Lock, LockOptions, Permit, ReadWriteLock } from '../../src';
import { eventually } from '../support/eventually';
import { whileWatched } from '../support/while-watched';
import type { SemaphoreWorld } from './semaphore-suite';

/** What a read-write lock does, on every store. `a` and `b` are dispatchers as two processes have them. */
export function readWriteSuite(where: string, makeWorld: () => Promise<SemaphoreWorld>): void {
  describe(`read-write lock: ${where}`, () => {
    let world: SemaphoreWorld;
    let a: Dispatcher;
    let b: Dispatcher;

    beforeEach(async () => {
      world = await makeWorld();
      a = await world.open();
      b = await world.open();
    });

    afterEach(async () => {
      await a.close();
      await b.close();
      const left = await world.keys();
      await world.close();
      expect(left).toEqual([]);
    });

    /** The lock as both processes have it. */
    function both(options?: { fair?: boolean; ttl?: number }): [ReadWriteLock, ReadWriteLock] {
      return [a.readWriteLock('/config.json', options), b.readWriteLock('/config.json', options)];
    }

    it('lets in any number to read, and nobody to write meanwhile', async () => {
      const [here, there] = both();
      const readers = await Promise.all(
        [here, there, here, there, here, there].map((lock) => lock.read.lock(5_000)),
      );
      expect(readers.every(({ isHeld }) => isHeld)).toBe(true);
      expect([await here.write.tryAcquire(), await there.write.tryAcquire()]).toEqual([null, null]);
      // Who tried to write kept nobody out.
      const another = await there.read.tryAcquire();
      expect(another?.isHeld).toBe(true);
      for (const reader of [...readers, another]) expect(await reader?.release()).toBe(true);
      expect((await there.write.tryAcquire())?.isHeld).toBe(true);
    });

    it('lets in one to write, and nobody else', async () => {
      const [here, there] = both();
      const writer = await here.write.lock(5_000);
      for (const lock of [here, there]) {
        expect(await lock.read.tryAcquire()).toBeNull();
        expect(await lock.write.tryAcquire()).toBeNull();
        await whileWatched([lock], async () => {
          await expect(lock.read.lock(50)).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
          await expect(lock.write.lock(50)).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
        });
      }
      expect(await writer.release()).toBe(true);
      expect(await writer.release()).toBe(false);
      expect((await there.read.tryAcquire())?.isHeld).toBe(true);
    });

    it('says of either side whether it is locked', async () => {
      const [here, there] = both();
      const sides = async (): Promise<boolean[]> => [
        await there.read.isLocked(),
        await there.write.isLocked(),
      ];
      expect(await sides()).toEqual([false, false]);
      const reader = await here.read.lock(5_000);
      expect(await sides()).toEqual([false, true]);
      await reader.release();
      await here.write.lock(5_000, async () => expect(await sides()).toEqual([true, true]));
      expect(await sides()).toEqual([false, false]);
    });

    it.each([false, true])('excludes whoever must be, and lets readers overlap (fair: %s)', async (fair) => {
      const [here, there] = both({ fair });
      let readers = 0;
      let writers = 0;
      let together = 0;
      let wrong = 0;
      const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
      const work = async (lock: ReadWriteLock, n: number): Promise<void> => {
        for (let i = 0; i < 8; i++) {
          if ((i + n) % 4 === 0) {
            await lock.write.lock(30_000, async () => {
              if (++writers > 1 || readers > 0) wrong++;
              await turn();
              writers--;
            });
          } else {
            await lock.read.lock(30_000, async () => {
              together = Math.max(together, ++readers);
              if (writers > 0) wrong++;
              await turn();
              await turn();
              readers--;
            });
          }
        }
      };
      await Promise.all([0, 1, 2, 3, 4, 5].map((n) => work(n % 2 === 0 ? here : there, n)));
      expect(wrong).toBe(0);
      expect(together).toBeGreaterThan(1);
    });

    it.each([false, true])('one who waits to write holds back new readers (fair: %s)', async (fair) => {
      const [here, there] = both({ fair });
      const order: string[] = [];
      const first = await here.read.lock(5_000);
      const writing = there.write.lock(20_000).then((permit) => (order.push('write'), permit));
      await eventually(async () => expect((await here.status()).waiters).toMatchObject([{ mode: 'write' }]));
      const reading = [here, there].map((lock) =>
        lock.read.lock(20_000).then((permit) => (order.push('read'), permit)),
      );
      if (fair) await eventually(async () => expect((await here.status()).waiters).toHaveLength(3));
      expect(await here.read.tryAcquire()).toBeNull();
      await first.release();
      const writer = await writing;
      expect(order).toEqual(['write']);
      await writer.release();
      const readers = await Promise.all(reading);
      expect(readers.map(({ isHeld }) => isHeld)).toEqual([true, true]);
      expect(order).toEqual(['write', 'read', 'read']);
    });

    it('is granted in the order in which it was asked for when fair', async () => {
      const locks = both({ fair: true });
      const held = await locks[0].write.lock(5_000);
      const order: string[] = [];
      const permits: Promise<Permit>[] = [];
      const sides = ['read', 'read', 'write', 'read', 'write', 'write', 'read', 'read'] as const;
      for (const [i, side] of sides.entries()) {
        const lock = locks[i % 2] as ReadWriteLock;
        permits.push(
          lock[side].lock(30_000).then((permit) => {
            order.push(`${side} ${i}`);
            return permit;
          }),
        );
        await eventually(async () => expect((await lock.status()).waiters).toHaveLength(i + 1));
      }
      expect((await locks[0].status()).waiters.map(({ mode }) => mode)).toEqual(sides);
      await held.release();
      const done: number[] = [];
      while (done.length < sides.length) {
        await eventually(() => expect(order.length).toBeGreaterThan(done.length));
        const next = Number(order[done.length]?.split(' ')[1]);
        await (await permits[next])?.release();
        done.push(next);
      }
      // Readers side by side may come in any order among themselves.
      const groups = [
        done.slice(0, 2).sort(),
        [done[2]],
        [done[3]],
        [done[4]],
        [done[5]],
        done.slice(6).sort(),
      ];
      expect(groups).toEqual([[0, 1], [2], [3], [4], [5], [6, 7]]);
    });

    it('readers that waited behind a writer go together', async () => {
      const locks = both({ fair: true });
      const held = await locks[0].write.lock(5_000);
      const reading = Array.from({ length: 10 }, (_, i) => (locks[i % 2] as ReadWriteLock).read.lock(20_000));
      await eventually(async () => expect((await locks[0].status()).waiters).toHaveLength(10));
      await held.release();
      // None is released before all are in.
      const readers = await Promise.all(reading);
      expect((await locks[0].status()).holders).toHaveLength(10);
      expect(readers.every(({ isHeld }) => isHeld)).toBe(true);
    });

    it('gives tokens that grow from writer to reader to writer', async () => {
      const [here, there] = both();
      const tokens: bigint[] = [];
      const sides: Lock[] = [here.write, there.read, there.write, here.write, here.read, there.write];
      for (const side of sides) await side.lock(5_000, (permit) => void tokens.push(permit.fencingToken));
      expect(tokens).toEqual([...tokens].sort((x, y) => (x < y ? -1 : 1)));
      expect(new Set(tokens).size).toBe(tokens.length);
    });

    it('downgrades without a gap', async () => {
      const [here, there] = both();
      const writer = await here.write.lock(5_000);
      const { fencingToken } = writer;
      const writing = there.write.lock(20_000);
      const reader = await writer.downgrade();
      expect(reader.isHeld).toBe(true);
      expect(reader.fencingToken).toBe(fencingToken);
      expect(await writer.downgrade()).toBe(reader);
      await reader.renew();
      // Readers come in, or the other writer, which waits for both.
      const another = await there.read.tryAcquire();
      await another?.release();
      let written = false;
      void writing.then(() => (written = true));
      expect((await here.status()).holders.map(({ mode }) => mode)).toEqual(['read']);
      expect(written).toBe(false);
      expect(await reader.release()).toBe(true);
      expect((await writing).fencingToken).toBeGreaterThan(fencingToken);
    });

    it('lets in those who wait to read when a writer downgrades', async () => {
      const [here, there] = both();
      const writer = await here.write.lock(5_000);
      const reading = [here.read.lock(20_000), there.read.lock(20_000)];
      await writer.downgrade();
      const readers = await Promise.all(reading);
      expect([writer, ...readers].map(({ isHeld }) => isHeld)).toEqual([true, true, true]);
      expect(await there.write.tryAcquire()).toBeNull();
    });

    it('does not downgrade what it does not hold any more', async () => {
      const [here, there] = both();
      const released = await here.write.lock(5_000);
      await released.release();
      await expect(released.downgrade()).rejects.toMatchObject({ code: 'PERMIT_LOST' });
      const taken = await here.write.lock(5_000);
      expect(await there.forceRelease(taken.id)).toBe(true);
      await expect(taken.downgrade()).rejects.toMatchObject({ code: 'PERMIT_LOST' });
      expect((await there.write.tryAcquire())?.isHeld).toBe(true);
    });

    it('ends with its ttl when nobody renews it', async () => {
      const [here, there] = both({ ttl: 1_000 });
      const once: LockOptions = { autoRenew: false };
      const reader = await here.read.acquire(once);
      const lost = new Promise((resolve) => reader.signal.addEventListener('abort', resolve));
      const writer = await there.write.acquire({ ...once, timeout: 10_000 });
      await lost;
      expect(reader.isHeld).toBe(false);
      const next = await here.read.acquire({ timeout: 10_000 });
      expect([writer.isHeld, next.isHeld]).toEqual([false, true]);
    });

    it('keeps what is renewed', async () => {
      const [here, there] = both({ ttl: 3_000 });
      const readers = await Promise.all([here.read.lock(5_000), there.read.lock(5_000)]);
      await expect(there.write.lock(4_000)).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
      for (const reader of readers) expect(await reader.release()).toBe(true);
      const writer = await there.write.lock(5_000);
      await expect(here.read.lock(4_000)).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
      expect(await writer.release()).toBe(true);
    });

    it.each([false, true])(
      'lets in readers again when one who waited to write gives up (fair: %s)',
      async (fair) => {
        const [here, there] = both({ fair });
        const reader = await here.read.lock(5_000);
        const leaving = new AbortController();
        const left = there.write.lock({ signal: leaving.signal });
        await eventually(async () => expect((await here.status()).waiters).toHaveLength(1));
        const next = here.read.lock(20_000);
        leaving.abort(new Error('left'));
        await expect(left).rejects.toThrow('left');
        expect((await next).isHeld).toBe(true);
        expect(reader.isHeld).toBe(true);
        await eventually(async () => expect((await here.status()).waiters).toEqual([]));
      },
    );

    it('can be taken away by an operator, from either side', async () => {
      const [here, there] = both();
      const readers = [await here.read.lock(5_000), await here.read.lock(5_000)] as const;
      const writing = there.write.lock(20_000);
      for (const { id, signal } of readers) {
        const lost = new Promise((resolve) => signal.addEventListener('abort', resolve));
        expect(await there.forceRelease(id)).toBe(true);
        await lost;
      }
      const writer = await writing;
      expect(await here.forceRelease(writer.id)).toBe(true);
      expect(await here.forceRelease(writer.id)).toBe(false);
      await eventually(() => expect(writer.isHeld).toBe(false));
    });

    it('shows who holds it and who waits', async () => {
      const [here, there] = both({ fair: true });
      const reader = await here.read.acquire({ metadata: { job: 'load' } });
      expect(await there.status()).toMatchObject({
        name: '/config.json',
        kind: 'read-write-lock',
        holders: [
          { permitId: reader.id, mode: 'read', fencingToken: reader.fencingToken, metadata: { job: 'load' } },
        ],
        waiters: [],
        corrupt: [],
      });
      expect(await a.list()).toEqual([
        { name: '/config.json', kind: 'read-write-lock', slots: undefined, held: 1, waiting: 0 },
      ]);
      const stop = new AbortController();
      const watched = here.watch({ signal: stop.signal })[Symbol.asyncIterator]();
      expect((await watched.next()).value).toMatchObject({ holders: [{ mode: 'read' }], waiters: [] });
      const writing = there.write.lock(20_000);
      await eventually(async () =>
        expect(await here.status()).toMatchObject({
          holders: [{ mode: 'read' }],
          waiters: [{ mode: 'write' }],
        }),
      );
      expect(await b.list()).toMatchObject([{ held: 1, waiting: 1 }]);
      await reader.release();
      const writer = await writing;
      await eventually(async () =>
        expect((await watched.next()).value).toMatchObject({
          holders: [{ permitId: writer.id, mode: 'write' }],
          waiters: [],
        }),
      );
      stop.abort();
      await writer.release();
      expect(await a.list()).toEqual([]);
    });

    it('is held for the time of the work by the short forms', async () => {
      const name = '/config.json';
      const lock = b.readWriteLock(name);
      expect(await a.readLock(name, 5_000, () => lock.write.isLocked())).toBe(true);
      expect(await a.writeLock(name, 5_000, () => lock.read.isLocked())).toBe(true);
      const permit = await a.writeLock(name, 5_000);
      await whileWatched([lock], () =>
        expect(b.readLock(name, 50)).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' }),
      );
      await permit.downgrade();
      await (await b.readLock(name, 5_000)).release();
      await permit.release();
    });

    it("treats what can not be read as taken: a writer's place for all, a reader's for those who write", async () => {
      const [here] = both();
      await world.put('rw./config=2Ejson.reader.x', 'not json');
      await expect(here.write.lock(5_000)).rejects.toMatchObject({ code: 'CORRUPT_ENTRY' });
      await (await here.read.lock(5_000)).release();
      expect((await here.status()).corrupt).toMatchObject([{ key: 'rw./config=2Ejson.reader.x' }]);
      await world.put('rw./config=2Ejson.reader.x', null);
      await world.put('rw./config=2Ejson.writer', '{"v":2}');
      await expect(here.write.lock(5_000)).rejects.toMatchObject({ code: 'CORRUPT_ENTRY' });
      await expect(here.read.lock(5_000)).rejects.toMatchObject({ code: 'CORRUPT_ENTRY' });
      await world.put('rw./config=2Ejson.writer', null);
      await (await here.write.lock(5_000)).release();
    });

    it('refuses bad arguments', async () => {
      expect(() => a.readWriteLock('')).toThrow(RangeError);
      expect(() => a.readWriteLock('x', { ttl: 1 })).toThrow(RangeError);
      expect(() => a.readWriteLock('x', { fair: 1 as never })).toThrow(TypeError);
      const two = { count: 2 } as LockOptions;
      await expect(a.readWriteLock('x').read.lock(two)).rejects.toThrow(RangeError);
      await expect(a.acquireAll([{ semaphore: a.readWriteLock('x').write as never }])).rejects.toThrow(
        TypeError,
      );
    });

    it('lets in a thousand readers', async () => {
      const locks = both();
      const readers = await Promise.all(
        Array.from({ length: 1_000 }, (_, i) => (locks[i % 2] as ReadWriteLock).read.lock(60_000)),
      );
      expect(readers.filter(({ isHeld }) => isHeld)).toHaveLength(1_000);
      const { holders } = await locks[0].status();
      expect(holders).toHaveLength(1_000);
      expect(await locks[1].write.tryAcquire()).toBeNull();
      await Promise.all(readers.map((reader) => reader.release()));
      expect((await locks[1].write.lock(5_000)).isHeld).toBe(true);
    }, 90_000);
  });
}
