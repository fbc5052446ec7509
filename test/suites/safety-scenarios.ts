import { expect } from '@jest/globals';
import type { Permit } from '../../src/api/permit';
import { settle } from '../support/fake-clock';
import type { Lab, LabClient } from '../support/lab';

/**
 * What must hold whatever happens, each as a story that fails if it does not. They are told with the protections in
 * place, where they must pass, and without one of them, where one must fail.
 */
export const safetyScenarios: Record<string, (lab: Lab) => Promise<void>> = {
  async 'at most as many as there are slots, and that many'(lab) {
    const clients = Array.from({ length: 6 }, () => lab.client('s', 3, 5_000));
    let inside = 0;
    let most = 0;
    let done = 0;
    const work = async ({ semaphore, clock }: LabClient): Promise<void> => {
      for (let i = 0; i < 5; i++) {
        const permit = await semaphore.lock();
        most = Math.max(most, ++inside);
        await new Promise<void>((resolve) => clock.after(7, resolve));
        inside--;
        await permit.release();
        done++;
      }
    };
    const all = Promise.all(clients.flatMap((client) => [work(client), work(client)]));
    for (let i = 0; i < 500 && done < 60; i++) await lab.clock.advance(1);
    expect({ done, most }).toEqual({ done: 60, most: 3 });
    await all;
  },

  async 'a late release leaves the next holder alone'(lab) {
    const [a, b] = [lab.client('s', 1, 2_000), lab.client('s', 1, 2_000)];
    const first = await a.semaphore.lock();
    const next = waitFor(b);
    a.clock.pause();
    await lab.clock.advance(2_500);
    const second = next.permit as Permit;
    expect(second.isHeld).toBe(true);
    expect(first.isHeld).toBe(false);
    expect(await first.release()).toBe(false);
    a.clock.resume();
    await settle();
    expect(await b.semaphore.isLocked()).toBe(true);
    await lab.clock.advance(1_000);
    expect(second.isHeld).toBe(true);
  },

  async 'a release under way when the lease ends leaves the next holder alone'(lab) {
    const [a, b] = [lab.client('s', 1, 2_000), lab.client('s', 1, 2_000)];
    const first = await a.semaphore.lock();
    const next = waitFor(b);
    a.wire.cut();
    const releasing = first.release().catch(() => false);
    await lab.clock.advance(2_500);
    expect(next.permit?.isHeld).toBe(true);
    a.wire.mend();
    expect(await releasing).toBe(false);
    await lab.clock.advance(1_000);
    expect(next.permit?.isHeld).toBe(true);
    expect(await b.semaphore.isLocked()).toBe(true);
  },

  async 'a holder that can not renew has lost its permit before another gets the slot'(lab) {
    const [a, b] = [lab.client('s', 1, 2_000), lab.client('s', 1, 2_000)];
    const first = await a.semaphore.lock();
    const { signal } = first;
    a.wire.cut();
    let atGrant: boolean[] = [];
    const next = waitFor(b, () => (atGrant = [signal.aborted, first.isHeld]));
    await lab.clock.advance(2_500);
    expect(next.permit?.isHeld).toBe(true);
    expect(atGrant).toEqual([true, false]);
  },

  async 'a renewal whose answer comes after the deadline counts for nothing'(lab) {
    const [a, b] = [lab.client('s', 1, 3_000), lab.client('s', 1, 3_000)];
    const first = await a.semaphore.lock();
    a.wire.delayAnswers();
    // Its renewal is stored; then the expiry of the claim before it takes it away again, unseen.
    await lab.clock.advance(2_999);
    const next = waitFor(b);
    await lab.wipe('sem.s.slot.0');
    await settle();
    expect(next.permit?.isHeld).toBe(true);
    a.wire.deliverAnswers();
    await settle();
    expect([first.isHeld, next.permit?.isHeld]).toEqual([false, true]);
  },

  async 'a renewal for a shorter time counts from when it was sent'(lab) {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    const first = await a.semaphore.lock({ autoRenew: false });
    a.wire.delayAnswers();
    void first.renew(1_000).catch(() => undefined);
    let atGrant: boolean | undefined;
    const next = waitFor(b, () => (atGrant = first.isHeld));
    await lab.clock.advance(2_000);
    expect(next.permit?.isHeld).toBe(true);
    expect(atGrant).toBe(false);
  },

  async 'a limit lowered behind a lost link holds for a claim that was under way'(lab) {
    const [a, b] = [lab.client('s', 2, 30_000), lab.client('s', 2, 30_000)];
    const first = await a.semaphore.lock();
    const second = await a.semaphore.lock();
    await second.release();
    a.wire.cut();
    const next = waitFor(a);
    await settle();
    await b.semaphore.setPermits(1);
    a.wire.mend();
    await lab.clock.advance(300);
    expect([first.isHeld, next.permit]).toEqual([true, undefined]);
    await first.release();
    await lab.clock.advance(300);
    expect(next.permit?.isHeld).toBe(true);
  },

  async 'who lowers the limit counts what was taken meanwhile'(lab) {
    const a = lab.client('s', 1, 30_000, false, 'set');
    const b = lab.client('s', 6, 30_000);
    const all = await b.semaphore.lock({ count: 6 });
    await all.release();
    await lab.clock.advance(3_000);
    a.wire.delayAnswers();
    const next = waitFor(a);
    await settle();
    const held = await b.semaphore.lock({ count: 2 });
    a.wire.deliverAnswers();
    await lab.clock.advance(300);
    expect([held.isHeld, next.permit]).toEqual([true, undefined]);
    await held.release();
    await lab.clock.advance(300);
    expect(next.permit?.isHeld).toBe(true);
  },

  async 'a holder that renewed and then died is followed within its ttl'(lab) {
    const [a, b] = [lab.client('s', 1, 2_000), lab.client('s', 1, 2_000)];
    await a.semaphore.lock();
    await lab.clock.advance(7_000);
    expect(await b.semaphore.isLocked()).toBe(true);
    a.clock.pause();
    a.wire.cut();
    const next = waitFor(b);
    await lab.clock.advance(3_000);
    expect(next.permit?.isHeld).toBe(true);
  },

  async 'a release during a lost link is noticed when the link is back'(lab) {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    const first = await a.semaphore.lock();
    const next = waitFor(b);
    await lab.clock.advance(10);
    b.wire.cut();
    expect(await first.release()).toBe(true);
    await lab.clock.advance(1_000);
    expect(next.permit).toBeUndefined();
    b.wire.mend();
    await lab.clock.advance(100);
    expect(next.permit?.isHeld).toBe(true);
  },
};

function waitFor(client: LabClient, onGrant?: () => void): { permit?: Permit } {
  const waiting: { permit?: Permit } = {};
  void client.semaphore.lock().then((permit) => {
    waiting.permit = permit;
    onGrant?.();
  });
  return waiting;
}
