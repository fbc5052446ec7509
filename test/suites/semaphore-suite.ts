import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Dispatcher } from '../../src/api/dispatcher';
import type { DispatcherOptions } from '../../src/api/options';
import type { Permit } from '../../src/api/permit';
import type { SemaphoreStatus } from '../../src/api/status';
import { eventually } from '../support/eventually';
import { type Late, soon } from '../support/soon';
import { whileWatched } from '../support/while-watched';

/** Dispatchers that share their semaphores, as processes that use one bucket do. */
export interface SemaphoreWorld extends Late {
  open(options?: DispatcherOptions): Promise<Dispatcher>;
  /** Puts something under a key past the library; null removes it. */
  put(key: string, value: string | null): Promise<void>;
  /** Keys that hold a value. */
  keys(): Promise<string[]>;
  close(): Promise<void>;
}

/** What a semaphore does, whatever keeps it. */
export function semaphoreSuite(name: string, makeWorld: () => Promise<SemaphoreWorld>): void {
  describe(`semaphore: ${name}`, () => {
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
      const left = (await world.keys()).filter((key) => !key.endsWith('.limit'));
      await world.close();
      expect(left).toEqual([]);
    });

    describe('acquiring', () => {
      it('gives as many permits as there are slots, each slot once', async () => {
        const permits = await Promise.all([
          a.semaphore('s', 3).lock(5_000),
          b.semaphore('s', 3).lock(5_000),
          b.semaphore('s', 3).lock(5_000),
        ]);
        expect(permits.flatMap((permit) => permit.slots).sort()).toEqual([0, 1, 2]);
        expect(await a.semaphore('s', 3).availablePermits()).toBe(0);
        expect(await b.semaphore('s', 3).isLocked()).toBe(true);
        expect(await a.semaphore('s', 3).tryAcquire()).toBeNull();
        await whileWatched([a.semaphore('s')], () =>
          expect(a.semaphore('s', 3).lock(50)).rejects.toMatchObject({
            name: 'AcquireTimeoutError',
            code: 'ACQUIRE_TIMEOUT',
            primitive: 's',
          }),
        );
      });

      it('wakes who waits when a permit is released', async () => {
        const first = await a.semaphore('s', 1).lock();
        const waiting = b.semaphore('s', 1).lock(10_000);
        await untilWaitsAreSeen();
        expect(await first.release()).toBe(true);
        expect(await first.release()).toBe(false);
        const second = await waiting;
        expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
        expect([first.isHeld, second.isHeld]).toEqual([false, true]);
        expect(first.signal.aborted).toBe(false);
      });

      it('serves those of one process in the order in which they asked', async () => {
        const semaphore = a.semaphore('s', 2);
        const held = await Promise.all([semaphore.lock(), semaphore.lock()]);
        const order: number[] = [];
        const all = Array.from({ length: 20 }, async (_, i) => {
          const permit = await semaphore.lock();
          order.push(i);
          await permit.release();
        });
        await Promise.all(held.map((permit) => permit.release()));
        await Promise.all(all);
        expect(order).toEqual([...order].sort((x, y) => x - y));
      });

      it('stops waiting when the signal aborts, with its reason, and gives nothing away', async () => {
        const semaphore = a.semaphore('s', 1);
        const held = await semaphore.lock();
        const controller = new AbortController();
        const waiting = semaphore.lock({ signal: controller.signal });
        const reason = new Error('changed my mind');
        controller.abort(reason);
        await expect(waiting).rejects.toBe(reason);
        await expect(semaphore.lock({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
        await held.release();
        expect((await semaphore.lock(5_000)).isHeld).toBe(true);
      });

      it('gives back a permit that was won in the instant of the abort', async () => {
        const semaphore = a.semaphore('s', 1);
        for (let i = 0; i < 30; i++) {
          const controller = new AbortController();
          const waiting = semaphore.lock({ signal: controller.signal }).then(
            (permit) => permit.release(),
            () => undefined,
          );
          await new Promise((resolve) =>
            i % 2 === 0 ? setImmediate(resolve) : queueMicrotask(() => resolve(null)),
          );
          controller.abort();
          await waiting;
        }
        const permit = await semaphore.lock(5_000);
        expect(permit.isHeld).toBe(true);
      });

      it('runs work under a permit and releases it however the work ends', async () => {
        const semaphore = a.semaphore('s', 1);
        expect(await semaphore.lock(5_000, (permit) => Promise.resolve(permit.isHeld))).toBe(true);
        const failure = new Error('work failed');
        await expect(semaphore.lock(5_000, () => Promise.reject(failure))).rejects.toBe(failure);
        expect(await semaphore.availablePermits()).toBe(1);
      });

      it('releases at the end of an `await using` block', async () => {
        const semaphore = a.semaphore('s', 1);
        {
          await using permit = await semaphore.lock(5_000);
          expect(permit.isHeld).toBe(true);
          expect(await semaphore.isLocked()).toBe(true);
        }
        expect(await semaphore.isLocked()).toBe(false);
      });

      it('refuses bad arguments by naming them, and never throws synchronously from an async method', async () => {
        const semaphore = a.semaphore('s', 2);
        const cases: [() => Promise<unknown>, string, RegExp][] = [
          [() => semaphore.lock(-1), 'RangeError', /timeout.*-1/],
          [() => semaphore.lock({ ttl: 10 }), 'RangeError', /ttl must be from 1000 .*got 10/],
          [() => semaphore.lock({ count: 1.5 }), 'RangeError', /count.*1\.5/],
          [() => semaphore.lock({ count: 3 }), 'RangeError', /count.*1 to 2.*got 3/],
          [() => semaphore.lock({ metadata: { a: 1 } as never }), 'TypeError', /metadata\.a/],
          [() => semaphore.lock({ metadata: { a: 'x'.repeat(5_000) } }), 'RangeError', /metadata.*4096/],
          [() => semaphore.lock('5' as never), 'TypeError', /options/],
          [() => semaphore.setPermits(0), 'RangeError', /slots.*got 0/],
          [() => semaphore.forceRelease(''), 'TypeError', /permitId/],
        ];
        for (const [call, kind, message] of cases) {
          const result = call();
          await expect(result).rejects.toMatchObject({
            name: kind,
            message: expect.stringMatching(message) as unknown as string,
          });
        }
        expect(() => a.semaphore('')).toThrow(/name must not be empty/);
        expect(() => a.semaphore('x'.repeat(257))).toThrow(/name.*256.*257/);
        expect(() => a.semaphore('\ud800')).toThrow(/name.*Unicode/);
        expect(() => a.semaphore('s', 0)).toThrow(RangeError);
        expect(() => a.semaphore('s', 1.5)).toThrow(/slots.*1\.5/);
        expect(() => a.semaphore('s', 1, { ttl: 10 })).toThrow(/ttl/);
        expect(() => a.semaphore('s', 1, { limitPolicy: 'x' as never })).toThrow(/limitPolicy/);
      });

      it.each(['/config.json', 'payment:daily', 'a.b', '用户', '*', '>', 'a b', '=2A', 'limit', '😀'])(
        'takes %j for a name',
        async (odd) => {
          const permit = await a.semaphore(odd, 1).lock(5_000);
          expect(await b.semaphore(odd, 1).isLocked()).toBe(true);
          expect((await a.list()).map((each) => each.name)).toEqual([odd]);
          await permit.release();
        },
      );
    });

    describe('leases', () => {
      it('end at the ttl without renewal, before another gets the slot', async () => {
        const first = await a.semaphore('s', 1).lock({ ttl: 1_000, autoRenew: false });
        const lost = new Promise((resolve) => first.signal.addEventListener('abort', resolve));
        const second = await b.semaphore('s', 1).lock(5_000);
        expect(first.isHeld).toBe(false);
        expect(first.remaining).toBe(0);
        await lost;
        expect(first.signal.reason).toMatchObject({ code: 'PERMIT_LOST', primitive: 's' });
        await expect(first.renew()).rejects.toMatchObject({ code: 'PERMIT_LOST' });
        expect(await first.release()).toBe(false);
        expect(second.isHeld).toBe(true);
      });

      it('go on while they are renewed, by themselves or by hand', async () => {
        const semaphore = a.semaphore('s', 2, { ttl: 3_000 });
        const renewed = await semaphore.lock();
        const byHand = await semaphore.lock({ autoRenew: false });
        for (let i = 0; i < 3; i++) {
          await new Promise((resolve) => setTimeout(resolve, 1_200));
          await byHand.renew();
        }
        expect([renewed.isHeld, byHand.isHeld]).toEqual([true, true]);
        expect(renewed.remaining).toBeGreaterThan(0);
        await byHand.renew(20_000);
        expect(byHand.remaining).toBeGreaterThan(15_000);
      });

      it('are lost when somebody takes them away, at once', async () => {
        const permit = await a.semaphore('s', 1).lock();
        await untilWaitsAreSeen();
        const lost = new Promise((resolve) => permit.signal.addEventListener('abort', resolve));
        expect(await b.semaphore('s', 1).forceRelease('nobody')).toBe(false);
        expect(await b.semaphore('s', 1).forceRelease(permit.id)).toBe(true);
        await lost;
        expect(permit.isHeld).toBe(false);
        expect((await b.semaphore('s', 1).lock(5_000)).isHeld).toBe(true);
      });
    });

    describe('several permits at once', () => {
      it('are all or nothing', async () => {
        const semaphore = a.semaphore('s', 3);
        const one = await b.semaphore('s', 3).lock();
        expect(await semaphore.tryAcquire({ count: 3 })).toBeNull();
        const waiting = semaphore.lock({ count: 3, timeout: 10_000 });
        await untilWaitsAreSeen();
        expect(await b.semaphore('s', 3).availablePermits()).toBe(2);
        await one.release();
        const all = await waiting;
        expect([...all.slots].sort()).toEqual([0, 1, 2]);
        expect(await all.release(2)).toBe(true);
        expect([all.count, all.isHeld]).toEqual([1, true]);
        expect(await semaphore.availablePermits()).toBe(2);
        await expect(all.release(2)).rejects.toThrow(RangeError);
        expect(await all.release()).toBe(true);
        expect(await semaphore.availablePermits()).toBe(3);
      });

      it('are all that is free, when drained', async () => {
        const semaphore = a.semaphore('s', 5);
        const one = await b.semaphore('s', 5).lock();
        const rest = await semaphore.drainPermits();
        expect(rest?.count).toBe(4);
        expect(await semaphore.drainPermits()).toBeNull();
        await one.release();
        await soon(world, async () => expect((await semaphore.drainPermits())?.slots).toEqual(one.slots));
      });

      it('of several semaphores never block each other, in whatever order they are asked for', async () => {
        const work = async (dispatcher: Dispatcher, names: [string, string]): Promise<void> => {
          const wants = names.map((each, i) => ({ semaphore: dispatcher.semaphore(each, 2), count: i + 1 }));
          for (let i = 0; i < 10; i++) {
            const permit = await dispatcher.acquireAll(wants, { timeout: 20_000 });
            expect(permit.count).toBe(3);
            await permit.release();
          }
        };
        await Promise.all([work(a, ['x', 'y']), work(b, ['y', 'x']), work(a, ['y', 'x'])]);
        expect(await a.semaphore('x', 2).availablePermits()).toBe(2);
        expect(await a.semaphore('y', 2).availablePermits()).toBe(2);
      });

      it('of several semaphores hold nothing while they wait', async () => {
        const [x, y] = [a.semaphore('x', 1), a.semaphore('y', 1)];
        const held = await b.semaphore('y', 1).lock();
        await x.trySetPermits(1);
        await whileWatched([x, y], () =>
          expect(a.acquireAll([{ semaphore: x }, { semaphore: y }], { timeout: 100 })).rejects.toMatchObject({
            code: 'ACQUIRE_TIMEOUT',
          }),
        );
        expect(
          await a.acquireAll([{ semaphore: x }, { semaphore: y }], { timeout: 0 }).catch(() => null),
        ).toBeNull();
        expect(await x.availablePermits()).toBe(1);
        const waiting = a.acquireAll([{ semaphore: x }, { semaphore: y }], { timeout: 10_000 });
        await untilWaitsAreSeen();
        expect(await x.availablePermits()).toBe(1);
        await held.release();
        expect((await waiting).count).toBe(2);
        await expect(a.acquireAll([])).rejects.toThrow(TypeError);
        await expect(a.acquireAll([{ semaphore: {} as never }])).rejects.toThrow(/wants/);
      });
    });

    describe('a fair queue', () => {
      it('grants in the order of asking, across processes, and lets nobody by', async () => {
        const fair = { fair: true };
        const held = await a.semaphore('s', 1, fair).lock();
        const order: number[] = [];
        const all: Promise<unknown>[] = [];
        for (let i = 0; i < 12; i++) {
          const semaphore = (i % 2 === 0 ? a : b).semaphore('s', 1, fair);
          all.push(
            semaphore.lock(20_000).then(async (permit) => {
              order.push(i);
              await permit.release();
            }),
          );
          await eventually(async () => expect((await b.semaphore('s').status()).waiters).toHaveLength(i + 1));
        }
        await held.release();
        await Promise.all(all);
        expect(order).toEqual(Array.from({ length: 12 }, (_, i) => i));
      });

      it('does not starve one who wants many by those who want one', async () => {
        const fair = { fair: true };
        const held = await Promise.all([1, 2, 3].map(() => a.semaphore('s', 3, fair).lock()));
        const many = b.semaphore('s', 3, fair).lock({ count: 3, timeout: 20_000 });
        await eventually(async () => expect((await a.semaphore('s').status()).waiters).toHaveLength(1));
        const order: string[] = [];
        const one = a.semaphore('s', 3, fair).lock(20_000);
        void one.then(() => order.push('one'));
        void many.then(() => order.push('many'));
        await eventually(async () => expect((await a.semaphore('s').status()).waiters).toHaveLength(2));
        for (const permit of held) await permit.release();
        await (await many).release();
        await (await one).release();
        expect(order).toEqual(['many', 'one']);
      });

      it('is left by who aborts or runs out of time', async () => {
        const fair = { fair: true };
        const held = await a.semaphore('s', 1, fair).lock();
        const controller = new AbortController();
        await whileWatched([a.semaphore('s')], async () => {
          const first = b.semaphore('s', 1, fair).lock({ signal: controller.signal });
          const second = a.semaphore('s', 1, fair).lock(300);
          const third = b.semaphore('s', 1, fair).lock(20_000);
          controller.abort(new Error('enough'));
          await expect(first).rejects.toThrow('enough');
          await expect(second).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
          await held.release();
          await (await third).release();
        });
        await eventually(async () => expect((await a.semaphore('s').status()).waiters).toEqual([]));
      });

      it('keeps its places with a safety margin longer than the ttl of a place', async () => {
        const c = await world.open({ ttl: 60_000, safetyMargin: 20_000, fair: true });
        const held = await a.semaphore('s', 1).lock();
        const waiting = c.semaphore('s', 1).lock(10_000);
        const waiters = async () => (await a.semaphore('s', 1).status()).waiters;
        await eventually(async () => expect(await waiters()).toHaveLength(1));
        await held.release();
        expect((await waiting).isHeld).toBe(true);
        await c.close();
        expect(await waiters()).toEqual([]);
      });

      it('meets unfair users without ever breaking the limit', async () => {
        let inside = 0;
        let most = 0;
        const work = async (dispatcher: Dispatcher, fair: boolean): Promise<void> => {
          for (let i = 0; i < 8; i++) {
            await dispatcher.semaphore('s', 2, { fair }).lock(30_000, async () => {
              most = Math.max(most, ++inside);
              await new Promise((resolve) => setTimeout(resolve, 2));
              inside--;
            });
          }
        };
        await Promise.all([a, b].flatMap((each) => [work(each, true), work(each, false), work(each, true)]));
        expect(most).toBe(2);
      });
    });

    describe('the limit', () => {
      it('is stored by the first user, and a different one is a conflict, adopted or set', async () => {
        const permit = await a.semaphore('s', 3).lock();
        await expect(b.semaphore('s', 5).lock(1_000)).rejects.toMatchObject({
          code: 'LIMIT_CONFLICT',
          message: expect.stringMatching(/3.*5/) as unknown as string,
        });
        const adopting = b.semaphore('s', 5, { limitPolicy: 'adopt' });
        await (await adopting.lock(5_000)).release();
        expect((await adopting.status()).slots).toBe(3);
        await (await b.semaphore('s', 4, { limitPolicy: 'set' }).lock(5_000)).release();
        await eventually(async () => expect((await a.semaphore('s').status()).slots).toBe(4));
        // Who used it before follows, whatever the number in its code.
        await (await a.semaphore('s', 3).lock(5_000)).release();
        await permit.release();
      });

      it('can be set when there is none, set, and added to', async () => {
        const semaphore = a.semaphore('s');
        expect(await semaphore.trySetPermits(4)).toBe(true);
        expect(await b.semaphore('s').trySetPermits(7)).toBe(false);
        expect(await semaphore.availablePermits()).toBe(4);
        await b.semaphore('s').setPermits(6);
        expect(await semaphore.addPermits(-4)).toBe(2);
        await expect(semaphore.addPermits(-2)).rejects.toThrow(RangeError);
        expect(await b.semaphore('s').availablePermits()).toBe(2);
      });

      it('raised lets waiters in at once', async () => {
        const semaphore = a.semaphore('s', 1);
        await semaphore.lock();
        const waiting = [semaphore.lock(10_000), b.semaphore('s', 1).lock(10_000)];
        await untilWaitsAreSeen();
        await b.semaphore('s').setPermits(3);
        for (const permit of await Promise.all(waiting)) expect(permit.isHeld).toBe(true);
      });

      it('lowered below what is held revokes nobody and grants nothing until it fits', async () => {
        const semaphore = a.semaphore('s', 4);
        const held = await Promise.all([1, 2, 3, 4].map(() => semaphore.lock()));
        await b.semaphore('s').setPermits(2);
        expect(held.every((permit) => permit.isHeld)).toBe(true);
        const bySlot = [...held].sort((x, y) => (x.slots[0] as number) - (y.slots[0] as number));
        let granted: Permit | undefined;
        const waiting = semaphore.lock(20_000).then((permit) => (granted = permit));
        const other = b.semaphore('s').tryAcquire();
        expect(await other).toBeNull();
        // The low slots become free first: what is still held above the new limit counts.
        await bySlot[0]?.release();
        await bySlot[1]?.release();
        expect(await b.semaphore('s').tryAcquire()).toBeNull();
        expect(granted).toBeUndefined();
        await bySlot[3]?.release();
        await waiting;
        expect((await semaphore.status()).holders.flatMap(({ slots }) => slots)).toHaveLength(2);
        expect(await b.semaphore('s').tryAcquire()).toBeNull();
        await bySlot[2]?.release();
        await eventually(async () => expect((await semaphore.tryAcquire())?.isHeld).toBe(true));
      });

      it('lowered below what somebody waits for refuses him', async () => {
        const semaphore = a.semaphore('s', 3);
        await semaphore.lock();
        const waiting = semaphore.lock({ count: 3 });
        await untilWaitsAreSeen();
        await Promise.all([
          expect(waiting).rejects.toThrow(/count.*1 to 2.*got 3/),
          b.semaphore('s').setPermits(2),
        ]);
      });
    });

    describe('the view', () => {
      it('shows holders and waiters', async () => {
        const options = { ttl: 20_000, metadata: { job: 'nightly' } };
        const permit = await a.semaphore('s', 2).lock({ count: 2, ...options });
        const waiting = b
          .semaphore('s', 2, { fair: true })
          .lock({ timeout: 20_000, metadata: { job: 'adhoc' } });
        await eventually(async () => expect((await a.semaphore('s').status()).waiters).toHaveLength(1));
        const status = await b.semaphore('s').status();
        expect(status).toMatchObject({
          name: 's',
          kind: 'semaphore',
          slots: 2,
          available: 0,
          holders: [
            {
              permitId: permit.id,
              slots: [0, 1],
              fencingToken: permit.fencingToken,
              metadata: { job: 'nightly' },
            },
          ],
          waiters: [{ count: 1, metadata: { job: 'adhoc' } }],
          corrupt: [],
        });
        const [holder] = status.holders;
        expect(Number(holder?.expiresAt) - Number(holder?.since)).toBeGreaterThan(15_000);
        expect(await a.list()).toEqual([{ name: 's', kind: 'semaphore', slots: 2, held: 2, waiting: 1 }]);
        await permit.release();
        await (await waiting).release();
      });

      it('can be watched: now, and after every change', async () => {
        const stop = new AbortController();
        const seen: SemaphoreStatus[] = [];
        const watching = (async () => {
          for await (const status of a.semaphore('s', 2).watch({ signal: stop.signal })) seen.push(status);
        })();
        await eventually(() => expect(seen).toHaveLength(1));
        const permit = await b.semaphore('s', 2).lock();
        await eventually(() => expect(seen.at(-1)?.holders).toHaveLength(1));
        await permit.release();
        await eventually(() => expect(seen.at(-1)?.holders).toHaveLength(0));
        stop.abort();
        await watching;
      });
    });

    describe('garbage', () => {
      const garbage = [
        'garbage',
        '{"v":1,"perm',
        '{"v":2,"permit":"x","holder":"h","since":"","ttl":1000}',
        '[]',
        '{"v":1}',
      ];

      it.each(garbage)('in a slot (%s) counts as taken, and heals', async (value) => {
        await world.put('sem.s.slot.0', value);
        const other = await a.semaphore('s', 2).lock(5_000);
        expect(other.slots).toEqual([1]);
        expect((await b.semaphore('s').status()).corrupt).toMatchObject([{ key: 'sem.s.slot.0' }]);
        expect(await b.semaphore('s', 2).tryAcquire()).toBeNull();
        await expect(b.semaphore('s', 2).lock({ count: 2, timeout: 5_000 })).rejects.toMatchObject({
          code: 'CORRUPT_ENTRY',
          message: expect.stringMatching(/sem\.s\.slot\.0/) as unknown as string,
        });
        const waiting = b.semaphore('s', 2).lock(10_000);
        await world.put('sem.s.slot.0', null);
        expect((await waiting).slots).toEqual([0]);
      });

      it.each(garbage)('in the limit (%s) grants nothing, and heals', async (value) => {
        await world.put('sem.s.limit', value);
        await expect(a.semaphore('s', 2).lock(2_000)).rejects.toMatchObject({ code: 'CORRUPT_ENTRY' });
        await expect(a.semaphore('s', 2).setPermits(2)).rejects.toMatchObject({ code: 'CORRUPT_ENTRY' });
        await world.put('sem.s.limit', null);
        expect((await a.semaphore('s', 2).lock(5_000)).isHeld).toBe(true);
      });

      it.each(garbage)('in a ticket (%s) stands in nobody’s way, and is shown', async (value) => {
        await world.put('sem.s.ticket.x', value);
        const permit = await a.semaphore('s', 1, { fair: true }).lock(5_000);
        expect(permit.isHeld).toBe(true);
        expect((await b.semaphore('s').status()).corrupt).toMatchObject([{ key: 'sem.s.ticket.x' }]);
        await world.put('sem.s.ticket.x', null);
        await permit.release();
      });
    });

    describe('other clients', () => {
      it('with a ticket for more than there are slots hold nobody up', async () => {
        const foreign = { v: 1, holder: 'other', since: '2026-01-01T00:00:00Z', ttl: 10_000, count: 99 };
        await world.put('sem.s.ticket.foreign', JSON.stringify(foreign));
        expect((await a.semaphore('s', 2, { fair: true }).lock(5_000)).isHeld).toBe(true);
        await world.put('sem.s.ticket.foreign', null);
      });

      it('with a limit beyond what can be looked at are told so', async () => {
        await world.put('sem.s.limit', '{"v":1,"slots":1000000000}');
        await expect(a.semaphore('s', 2).lock(2_000)).rejects.toMatchObject({ code: 'CORRUPT_ENTRY' });
        await world.put('sem.s.limit', null);
      });
    });

    describe('closing', () => {
      it('releases what is held, refuses who waits, and can be done twice', async () => {
        const held = await a.semaphore('s', 1).lock();
        const waiting = [a.semaphore('s', 1).lock(), a.semaphore('s', 1, { fair: true }).lock()];
        await untilWaitsAreSeen();
        waiting.push(a.acquireAll([{ semaphore: a.semaphore('s', 1) }, { semaphore: a.semaphore('t', 1) }]));
        const refused = Promise.all(
          waiting.map((each) => expect(each).rejects.toMatchObject({ code: 'DISPATCHER_CLOSED' })),
        );
        await Promise.all([a.close(), a.close(), refused]);
        expect(held.isHeld).toBe(false);
        expect(held.signal.aborted).toBe(false);
        await expect(a.semaphore('s', 1).lock()).rejects.toMatchObject({ code: 'DISPATCHER_CLOSED' });
      });
    });
  });
}

/** Time enough for a waiter to find everything taken, and for a holder to begin to listen. */
async function untilWaitsAreSeen(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 150));
}
