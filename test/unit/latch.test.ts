import { describe, expect, it } from '@jest/globals';
import { LatchEngine } from '../../src/latch/latch-engine';
import { LatchKeys } from '../../src/latch/latch-table';
import { type CountDownLatch, createLatch } from '../../src/api/latch';
import type { CommitResult } from '../../src/store/store';
import { settle } from '../support/fake-clock';
import { Lab, type LabClient, type Sabotage } from '../support/lab';

/** A latch of one client of the lab. */
function latchOf({ context }: LabClient, total?: number): CountDownLatch {
  const engine = new LatchEngine(context, 'l', new LatchKeys('l'));
  return createLatch({ name: 'l', total, engine: () => engine });
}

/**
 * A store that now and then carries out a write and says that it was refused: what is left of a write whose answer was lost,
 * once others have written over it.
 */
const forgetful = (everyNth: number): Sabotage => {
  let writes = 0;
  return (store) =>
    new Proxy(store, {
      get: (target, name) => {
        if (name !== 'commit') {
          const value: unknown = Reflect.get(target, name);
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        }
        return async (...args: Parameters<typeof store.commit>): Promise<CommitResult> => {
          const result = await store.commit(...args);
          return ++writes % everyNth === 0 ? { committed: false } : result;
        };
      },
    });
};

describe('a latch whose answers are lost', () => {
  it.each([2, 3, 7])(
    'counts every write once, when one of %i seems refused though it was stored',
    async (n) => {
      const lab = new Lab(forgetful(n));
      const latches = Array.from({ length: 5 }, (_, i) => latchOf(lab.client(`client ${i}`, 1, 30_000), 200));
      const woken: number[] = [];
      const waits = latches.map((latch, i) => latch.wait().then(() => woken.push(i)));
      let calls = 0;
      const counting = latches.map(async (latch) => {
        for (let i = 0; i < 39; i++, calls++) await latch.countDown();
      });
      while (calls < 5 * 39) await lab.clock.advance(50);
      await Promise.all(counting);
      await lab.clock.advance(100);
      expect(await latches[0]?.count()).toBe(5);
      expect(woken).toEqual([]);
      const last = latches.map((latch) => latch.countDown());
      await lab.clock.advance(5_000);
      expect(Math.min(...(await Promise.all(last)))).toBe(0);
      await Promise.all(waits);
      expect(woken).toHaveLength(5);
      await lab.close();
    },
  );

  it('counts what was asked for while the link is cut, once it is mended', async () => {
    const lab = new Lab();
    const [one, other] = [lab.client('a', 1, 30_000), lab.client('b', 1, 30_000)];
    const [a, b] = [latchOf(one, 4), latchOf(other, 4)];
    let woken = false;
    void b.wait().then(() => (woken = true));
    await a.countDown();
    one.wire.delayAnswers();
    const second = a.countDown();
    await settle();
    one.wire.cut();
    const third = [a.countDown(), a.countDown()];
    await lab.clock.advance(1_000);
    expect([(await b.count()) >= 2, woken]).toEqual([true, false]);
    one.wire.deliverAnswers();
    one.wire.mend();
    await lab.clock.advance(1_000);
    expect([await second, ...(await Promise.all(third))]).toEqual([2, 1, 0]);
    await lab.clock.advance(100);
    expect(woken).toBe(true);
    await lab.close();
  });

  it('keeps no timer when nobody waits', async () => {
    const lab = new Lab();
    const latch = latchOf(lab.client('a', 1, 30_000), 2);
    const left = new AbortController();
    const waiting = latch.wait({ timeout: 60_000, signal: left.signal });
    await latch.countDown();
    expect(lab.clock.pending).toBeGreaterThan(0);
    left.abort(new Error('left'));
    await expect(waiting).rejects.toThrow('left');
    expect(lab.clock.pending).toBe(0);
    await lab.close();
  });
});
