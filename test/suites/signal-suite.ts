import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type Dispatcher, lockContext } from '../../src';
import { eventually } from '../support/eventually';
import { Warnings } from '../support/warnings';
import type { SemaphoreWorld } from './semaphore-suite';

const MANY = 1_000;
/** Where each that is let go costs all others a look. */
const FEW = 100;

/** One signal of the caller's, and what a thousand users of it leave on it. */
export function signalSuite(name: string, begin: () => Promise<SemaphoreWorld>): void {
  describe(`one signal for many, ${name}`, () => {
    let world: SemaphoreWorld;
    let dispatcher: Dispatcher;
    let shutdown: AbortController;
    let warnings: Warnings;
    const listeners = (): number => getEventListeners(shutdown.signal, 'abort').length;
    const many = <T>(one: (index: number) => T): T[] =>
      Array.from({ length: MANY }, (_, index) => one(index));

    beforeEach(async () => {
      world = await begin();
      dispatcher = await world.open();
      shutdown = new AbortController();
      warnings = new Warnings();
    });
    afterEach(async () => {
      await dispatcher.close();
      await world.close();
      warnings[Symbol.dispose]();
    });

    /** Each of these waits under the signal, until it is aborted, out of time or let go. */
    const waits: [string, (timeout?: number) => Promise<Promise<unknown>[]>][] = [
      [
        'acquires',
        (timeout) => {
          const semaphore = dispatcher.semaphore('busy', 1);
          return holding(semaphore, () =>
            many(() => semaphore.lock({ signal: shutdown.signal, timeout }, () => undefined)),
          );
        },
      ],
      [
        'acquires of a fair queue',
        (timeout) => {
          const mutex = dispatcher.mutex('queue', { fair: true });
          return holding(mutex, () =>
            many(() => mutex.lock({ signal: shutdown.signal, timeout }, () => undefined)),
          );
        },
      ],
      [
        'acquires that may be granted locally',
        async (timeout) => {
          await dispatcher.close();
          dispatcher = await world.open({ onUnavailable: 'local' });
          const mutex = dispatcher.mutex('local');
          return holding(mutex, () =>
            many(() => mutex.lock({ signal: shutdown.signal, timeout }, () => undefined)),
          );
        },
      ],
      [
        'acquires of several things',
        (timeout) => {
          const wants = [{ semaphore: dispatcher.mutex('one') }, { semaphore: dispatcher.mutex('other') }];
          return holding(wants[0]!.semaphore, () =>
            Array.from({ length: FEW }, async () => {
              const permit = await dispatcher.acquireAll(wants, { signal: shutdown.signal, timeout });
              await permit.release();
            }),
          );
        },
      ],
      [
        'lockContexts',
        (timeout) => {
          const { write } = dispatcher.readWriteLock('file');
          return holding(write, () =>
            many(() => lockContext(write, { signal: shutdown.signal, timeout }, () => undefined)),
          );
        },
      ],
      [
        'latch waits',
        async (timeout) => {
          const latch = dispatcher.latch('start');
          await latch.trySetCount(1);
          release = () => latch.countDown();
          return many(() => latch.wait({ signal: shutdown.signal, timeout }));
        },
      ],
    ];
    let release = (): Promise<unknown> => Promise.resolve();
    const holding = async (
      lock: { acquire(): Promise<{ release(): Promise<unknown> }> },
      begin: () => Promise<unknown>[],
    ): Promise<Promise<unknown>[]> => {
      const permit = await lock.acquire();
      release = () => permit.release();
      return begin();
    };

    for (const [what, start] of waits) {
      it(`has one listener for many ${what}, and ends all of them when it aborts`, async () => {
        const all = await start();
        const outcomes = Promise.allSettled(all);
        await eventually(() => expect(listeners()).toBe(1));
        const reason = new Error('stop');
        shutdown.abort(reason);
        for (const outcome of await outcomes) expect(outcome).toEqual({ status: 'rejected', reason });
        expect(listeners()).toBe(0);
        await release();
        expect(await warnings.all()).toEqual([]);
      });

      it(`has no listener after many ${what} that were let go`, async () => {
        const outcomes = Promise.allSettled(await start());
        await eventually(() => expect(listeners()).toBe(1));
        await release();
        for (const { status } of await outcomes) expect(status).toBe('fulfilled');
        expect(listeners()).toBe(0);
        expect(await warnings.all()).toEqual([]);
      });

      it(`has no listener after many ${what} that were out of time`, async () => {
        const outcomes = Promise.allSettled(await start(300));
        await eventually(() => expect(listeners()).toBe(1));
        for (const outcome of await outcomes)
          expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ACQUIRE_TIMEOUT' } });
        expect(listeners()).toBe(0);
        await release();
        expect(await warnings.all()).toEqual([]);
      });

      it(`has no listener after many ${what} whose dispatcher was closed`, async () => {
        const outcomes = Promise.allSettled(await start());
        await eventually(() => expect(listeners()).toBe(1));
        await dispatcher.close();
        for (const outcome of await outcomes)
          expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'DISPATCHER_CLOSED' } });
        expect(listeners()).toBe(0);
        expect(await warnings.all()).toEqual([]);
      });
    }

    it(`has one listener for ${MANY} watches, and none when they end`, async () => {
      const semaphore = dispatcher.semaphore('seen', 1);
      const mutex = dispatcher.mutex('seen');
      const latch = dispatcher.latch('seen', 1);
      const lock = dispatcher.readWriteLock('seen');
      const { signal } = shutdown;
      let seen = 0;
      const follow = async (statuses: AsyncIterable<object>, end: number): Promise<number> => {
        let shown = 0;
        for await (const status of statuses) {
          expect(status).toMatchObject({ name: 'seen' });
          seen++;
          if (++shown === end) break;
        }
        return shown;
      };
      const watched = [semaphore, mutex, latch, lock];
      const ended = Promise.all(
        many((index) => follow(watched[index % 4]!.watch({ signal }), index < 4 ? 1 : Infinity)),
      );
      await eventually(() => expect(seen).toBe(MANY));
      expect(listeners()).toBe(1);
      shutdown.abort();
      expect(await ended).toEqual(many(() => 1));
      expect(listeners()).toBe(0);
      expect(await warnings.all()).toEqual([]);
    });

    it('has no listener after watches that were left, or whose dispatcher was closed', async () => {
      const semaphore = dispatcher.semaphore('seen', 1);
      for await (const { available } of semaphore.watch({ signal: shutdown.signal })) {
        expect([available, listeners()]).toEqual([1, 1]);
        break;
      }
      expect(listeners()).toBe(0);
      const iterator = semaphore.watch({ signal: shutdown.signal })[Symbol.asyncIterator]();
      await iterator.next();
      expect(listeners()).toBe(1);
      const failing = expect(iterator.next()).rejects.toMatchObject({ code: 'DISPATCHER_CLOSED' });
      await dispatcher.close();
      await failing;
      expect(listeners()).toBe(0);
    });
  });
}
