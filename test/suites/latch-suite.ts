import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { CountDownLatch, Dispatcher, LatchStatus } from '../../src';
import { eventually } from '../support/eventually';
import { whileWatched } from '../support/while-watched';
import type { SemaphoreWorld } from './semaphore-suite';

/** What a latch does, whatever keeps it. */
export function latchSuite(where: string, makeWorld: () => Promise<SemaphoreWorld>): void {
  describe(`latch: ${where}`, () => {
    let world: SemaphoreWorld;
    let a: Dispatcher;
    let b: Dispatcher;

    beforeEach(async () => {
      world = await makeWorld();
      a = await world.open({ holder: 'a' });
      b = await world.open({ holder: 'b' });
    });

    afterEach(async () => {
      await a.close();
      await b.close();
      const left = (await world.keys()).filter((key) => !key.endsWith('.count'));
      await world.close();
      expect(left).toEqual([]);
    });

    /** Whether a wait was over by a given moment. */
    const followed = (waiting: Promise<void>) => {
      const seen = { over: false };
      void waiting.then(
        () => (seen.over = true),
        () => (seen.over = true),
      );
      return seen;
    };
    const finished = async (name: string): Promise<void> =>
      eventually(async () => expect(await world.keys()).toEqual([`latch.${name}.count`]));

    it('lets all go when it reaches zero, and nobody before', async () => {
      const waits = [a, a, b, b].map((dispatcher) => dispatcher.latch('l', 3).wait({ timeout: 20_000 }));
      const seen = waits.map(followed);
      expect(await a.latch('l', 3).countDown()).toBe(2);
      expect(await b.latch('l', 3).countDown()).toBe(1);
      // A round trip of each later: whoever was to be woken would have been.
      expect([await a.latch('l', 3).count(), await b.latch('l', 3).count()]).toEqual([1, 1]);
      expect(seen.map(({ over }) => over)).toEqual([false, false, false, false]);
      expect(await a.latch('l').countDown()).toBe(0);
      await Promise.all(waits);
      await finished('l');
    });

    it('lets go at once who comes after zero', async () => {
      expect(await a.latch('l', 1).countDown()).toBe(0);
      await b.latch('l', 1).wait({ timeout: 0 });
      await b.latch('l').wait();
      expect(await b.latch('l').count()).toBe(0);
      await finished('l');
      await b.latch('l').wait({ timeout: 0 });
    });

    it('counts every call once, however many run side by side', async () => {
      const latches = [a.latch('l', 1_000), b.latch('l', 1_000)];
      const waiting = b.latch('l').wait({ timeout: 30_000 });
      const left = await Promise.all(
        Array.from({ length: 1_000 }, (_, i) => (latches[i % 2] as CountDownLatch).countDown()),
      );
      await waiting;
      expect(Math.min(...left)).toBe(0);
      // Of one process each sees what was left after it: all different, and falling.
      const own = left.filter((_, i) => i % 2 === 0).filter((count) => count > 0);
      expect(own).toEqual([...new Set(own)].sort((x, y) => y - x));
      await finished('l');
    });

    it('counts by more than one, and never below zero', async () => {
      const latch = a.latch('l', 10);
      expect(await latch.countDown(4)).toBe(6);
      expect(await Promise.all([latch.countDown(3), latch.countDown(2)])).toEqual([3, 1]);
      expect(await b.latch('l').countDown(5)).toBe(0);
      expect(await latch.countDown()).toBe(0);
      expect(await latch.count()).toBe(0);
      await finished('l');
    });

    it('begins a round only when there is none, or the last is at zero', async () => {
      const latch = a.latch('l');
      expect(await latch.count()).toBe(0);
      expect(await latch.trySetCount(2)).toBe(true);
      expect([await latch.trySetCount(3), await b.latch('l').trySetCount(3)]).toEqual([false, false]);
      expect(await latch.count()).toBe(2);
      await latch.countDown(2);
      expect(await b.latch('l').trySetCount(5)).toBe(true);
      expect(await latch.countDown()).toBe(4);
      const tries = await Promise.all([a, b, a, b].map((each) => each.latch('m').trySetCount(1)));
      expect(tries.filter(Boolean)).toHaveLength(1);
      await a.latch('m').countDown();
      await latch.countDown(4);
      await eventually(async () => expect(await world.keys()).toHaveLength(2));
    });

    it('lets go who waited for an old round, though a new one has begun', async () => {
      const latch = a.latch('l');
      for (let round = 0; round < 10; round++) {
        expect(await latch.trySetCount(1)).toBe(true);
        const waits = [a, b].map((each) => each.latch('l').wait({ timeout: 10_000 }));
        expect(await b.latch('l').count()).toBe(1);
        await latch.countDown();
        expect(await latch.trySetCount(1)).toBe(true);
        await latch.countDown();
        await Promise.all(waits);
      }
      await finished('l');
    });

    it('waits for a count where none is stored, and refuses to count down', async () => {
      const waiting = b.latch('l').wait({ timeout: 20_000 });
      const seen = followed(waiting);
      await expect(a.latch('l').countDown()).rejects.toMatchObject({
        code: 'LATCH_NOT_SET',
        primitive: 'l',
      });
      await a.latch('l').trySetCount(1);
      expect(seen.over).toBe(false);
      await a.latch('l').countDown();
      await waiting;
      await finished('l');
    });

    it('rejects a count that is not the stored one, at first use', async () => {
      await a.latch('l', 3).countDown();
      const conflict = { code: 'LIMIT_CONFLICT', primitive: 'l' };
      await expect(b.latch('l', 4).countDown()).rejects.toMatchObject(conflict);
      await expect(b.latch('l', 4).wait({ timeout: 5_000 })).rejects.toMatchObject(conflict);
      expect(await b.latch('l').countDown(2)).toBe(0);
      await finished('l');
    });

    it('gives up waiting in time, when the signal aborts, and when it is closed', async () => {
      const latch = a.latch('l', 1);
      await latch.trySetCount(1);
      const late = { code: 'ACQUIRE_TIMEOUT', primitive: 'l' };
      await whileWatched([latch], () => expect(latch.wait({ timeout: 30 })).rejects.toMatchObject(late));
      await expect(latch.wait({ timeout: 0 })).rejects.toMatchObject(late);
      const reason = new Error('changed my mind');
      const controller = new AbortController();
      const waiting = latch.wait({ signal: controller.signal });
      controller.abort(reason);
      await expect(waiting).rejects.toBe(reason);
      await expect(latch.wait({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      const last = latch.wait();
      const closed = expect(last).rejects.toMatchObject({ code: 'DISPATCHER_CLOSED' });
      await a.close();
      await closed;
      await expect(latch.countDown()).rejects.toMatchObject({ code: 'DISPATCHER_CLOSED' });
    });

    it('shows what is left and who has counted', async () => {
      const latch = a.latch('l', 5);
      expect(await latch.status()).toEqual({
        ...{ name: 'l', kind: 'latch', count: 5, total: undefined, counted: [], corrupt: [] },
      });
      const controller = new AbortController();
      const seen: LatchStatus[] = [];
      const watching = (async () => {
        for await (const status of b.latch('l', 5).watch({ signal: controller.signal })) {
          seen.push(status);
          if (status.count === 0) return;
        }
      })();
      await latch.countDown(2);
      await b.latch('l').countDown(1);
      const status = await latch.status();
      expect(status).toMatchObject({ count: 2, total: 5 });
      expect([...status.counted].sort((x, y) => y.count - x.count)).toEqual([
        { holder: 'a', count: 2 },
        { holder: 'b', count: 1 },
      ]);
      expect(await a.list()).toEqual([{ name: 'l', kind: 'latch', slots: 5, held: 2, waiting: 0 }]);
      await latch.countDown(2);
      await watching;
      expect(seen.at(-1)).toMatchObject({ count: 0, total: 5 });
      await finished('l');
      expect(await latch.status()).toMatchObject({ count: 0, total: 5, counted: [] });
    });

    it('does nothing with a count that it can not read, and lets nobody go', async () => {
      await world.put('latch.l.count', '{"v":2,"round":"r","total":1}');
      const latch = a.latch('l', 1);
      const corrupt = { code: 'CORRUPT_ENTRY', primitive: 'l' };
      await expect(latch.countDown()).rejects.toMatchObject(corrupt);
      await expect(latch.count()).rejects.toMatchObject(corrupt);
      await expect(latch.trySetCount(1)).rejects.toMatchObject(corrupt);
      await expect(latch.wait({ timeout: 10_000 })).rejects.toMatchObject(corrupt);
      expect((await latch.status()).corrupt).toEqual([
        { key: 'latch.l.count', reason: expect.stringContaining('version') as unknown as string },
      ]);
      await world.put('latch.l.count', null);
      expect(await latch.countDown()).toBe(0);
      await finished('l');
    });

    it('lets nobody go for a share that it can not read', async () => {
      await a.latch('l', 2).countDown();
      await world.put('latch.l.share.foreign', '{"v":1,"round":"?","done":"2","holder":"x"}');
      expect(await b.latch('l').count()).toBe(1);
      await world.put('latch.l.share.foreign', null);
      await b.latch('l').countDown();
      await finished('l');
    });

    it('tells who waits that the count was removed', async () => {
      await a.latch('l').trySetCount(1);
      const waiting = b.latch('l').wait({ timeout: 20_000 });
      await whileWatched([b.latch('l')], () =>
        expect(b.latch('l').wait({ timeout: 50 })).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' }),
      );
      const lost = expect(waiting).rejects.toMatchObject({ code: 'LATCH_LOST', primitive: 'l' });
      await world.put('latch.l.count', null);
      await lost;
    });

    it('refuses bad arguments', async () => {
      expect(() => a.latch('')).toThrow(RangeError);
      expect(() => a.latch('l', 0)).toThrow(RangeError);
      expect(() => a.latch('l', '3' as unknown as number)).toThrow(TypeError);
      await expect(a.latch('l').trySetCount(1.5)).rejects.toThrow(RangeError);
      await expect(a.latch('l', 1).countDown(0)).rejects.toThrow(RangeError);
      await expect(a.latch('l').wait({ timeout: -1 })).rejects.toThrow(RangeError);
    });
  });
}
