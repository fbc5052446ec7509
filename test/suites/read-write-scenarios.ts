import { expect } from '@jest/globals';
import type { Entry } from '../../src/store/store';
import type { Permit } from '../../src/api/permit';
import { settle } from '../support/fake-clock';
import type { Lab, LabClient } from '../support/lab';

/**
 * What must hold of a read-write lock whatever happens, each as a story that fails if it does not. They are told with the
 * protections in place, where they must pass, and without one of them, where one must fail.
 */
export const readWriteScenarios: Record<string, (lab: Lab) => Promise<void>> = {
  async 'nobody begins to read while somebody writes, whatever he believes'(lab) {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    await (await b.lock.read.lock()).release();
    // Nobody tells B of what happens now: as far as it knows the lock is free.
    const writer = await a.lock.write.lock();
    const next = waitFor(b, 'read');
    await lab.clock.advance(100);
    expect([writer.isHeld, next.permit]).toEqual([true, undefined]);
    await writer.release();
    await lab.clock.advance(100);
    expect(next.permit?.isHeld).toBe(true);
  },

  async 'nobody writes while somebody reads, whatever he believes'(lab) {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    const reader = await a.lock.read.lock();
    const next = waitFor(b, 'write');
    await lab.clock.advance(100);
    expect([reader.isHeld, next.permit]).toEqual([true, undefined]);
    await reader.release();
    await lab.clock.advance(100);
    expect(next.permit?.isHeld).toBe(true);
  },

  async 'one who began to read without having been announced is waited for'(lab) {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    // B listens, and believes that it knows everything.
    const stop = new AbortController();
    const watched = b.lock.watch({ signal: stop.signal })[Symbol.asyncIterator]();
    expect((await watched.next()).value).toMatchObject({ holders: [] });
    b.wire.loseAnnouncements(true);
    const reader = await a.lock.read.lock();
    await settle();
    b.wire.loseAnnouncements(false);
    const next = waitFor(b, 'write');
    await lab.clock.advance(100);
    expect([reader.isHeld, next.permit]).toEqual([true, undefined]);
    await reader.release();
    await lab.clock.advance(100);
    expect(next.permit?.isHeld).toBe(true);
    stop.abort();
    await watched.next();
  },

  async 'a claim to read that was under way when somebody began to write is refused or waited for'(lab) {
    for (const late of [true, false]) {
      const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
      if (late) b.wire.cut();
      else b.wire.delayAnswers();
      const reading = waitFor(b, 'read');
      await settle();
      const writing = waitFor(a, 'write');
      await lab.clock.advance(100);
      if (late) b.wire.mend();
      else b.wire.deliverAnswers();
      await lab.clock.advance(100);
      expect([reading.permit?.isHeld, writing.permit?.isHeld]).toEqual(
        late ? [undefined, true] : [true, undefined],
      );
      await (late ? writing : reading).permit?.release();
      await lab.clock.advance(100);
      expect((late ? reading : writing).permit?.isHeld).toBe(true);
      await (late ? reading : writing).permit?.release();
      // Until the markers are gone.
      await lab.clock.advance(31_000);
    }
  },

  async 'a marker of one who wrote goes away silently, and that lets nobody in who must not be'(lab) {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    await (await a.lock.write.lock()).release();
    // B expects the marker of the first; meanwhile that is gone, and others wrote and read.
    const reader = await b.lock.read.lock();
    await reader.release();
    b.wire.cut();
    const next = waitFor(b, 'read');
    await lab.clock.advance(1_500);
    const writer = await a.lock.write.lock();
    b.wire.mend();
    await lab.clock.advance(100);
    expect([writer.isHeld, next.permit]).toEqual([true, undefined]);
    await writer.release();
    await lab.clock.advance(1_500);
    expect(next.permit?.isHeld).toBe(true);
  },

  async 'one who reads and can not renew has lost his permit before anybody writes'(lab) {
    const [a, b] = [lab.client('s', 1, 2_000), lab.client('s', 1, 2_000)];
    const reader = await a.lock.read.lock();
    const { signal } = reader;
    a.wire.cut();
    let atGrant: boolean[] = [];
    const next = waitFor(b, 'write', () => (atGrant = [signal.aborted, reader.isHeld]));
    await lab.clock.advance(2_500);
    expect(next.permit?.isHeld).toBe(true);
    expect(atGrant).toEqual([true, false]);
  },

  async 'a renewal that is stored after its own expiry counts for nothing'(lab) {
    const [a, b] = [lab.client('s', 1, 3_000), lab.client('s', 1, 3_000)];
    const reader = await a.lock.read.lock();
    a.wire.delayAnswers();
    // Its renewal is stored; then the expiry of the claim before it takes it away again, unseen.
    await lab.clock.advance(2_999);
    const next = waitFor(b, 'write');
    await lab.wipe(`rw.s.reader.${reader.id}`);
    await settle();
    expect(next.permit?.isHeld).toBe(true);
    a.wire.deliverAnswers();
    await settle();
    expect([reader.isHeld, next.permit?.isHeld]).toEqual([false, true]);
  },

  async 'who wrote and now reads leaves no moment in which another could write'(lab) {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    const held = new Set<string>();
    let gaps = 0;
    const changed = ({ key, value }: Entry): void => {
      if (value === null) held.delete(key);
      else held.add(key);
      if (held.size === 0) gaps++;
    };
    const writer = await a.lock.write.lock();
    held.add('rw.s.writer');
    const stop = lab.store.listen(['rw.s.writer', 'rw.s.reader.*'], {
      changed,
      interrupted: () => undefined,
    });
    const next = waitFor(b, 'write');
    await lab.clock.advance(100);
    const reader = await writer.downgrade();
    await lab.clock.advance(100);
    stop();
    expect([gaps, reader.isHeld, next.permit]).toEqual([0, true, undefined]);
    await reader.release();
    await lab.clock.advance(100);
    expect(next.permit?.isHeld).toBe(true);
  },

  async 'one who has lost his permit to write does not go over to reading'(lab) {
    const [a, b] = [lab.client('s', 1, 2_000), lab.client('s', 1, 2_000)];
    const writer = await a.lock.write.lock();
    a.wire.cut();
    const downgrading = writer.downgrade().then(
      () => 'done',
      (error: { code: string }) => error.code,
    );
    const next = waitFor(b, 'write');
    await lab.clock.advance(2_500);
    expect([writer.isHeld, next.permit?.isHeld]).toEqual([false, true]);
    a.wire.mend();
    await lab.clock.advance(100);
    expect(await downgrading).toBe('PERMIT_LOST');
    expect(next.permit?.isHeld).toBe(true);
    expect((await lab.store.read(['rw.s.reader.*'])).filter(({ value }) => value !== null)).toEqual([]);
  },

  async 'who gives up waiting to write leaves nothing that keeps others out'(lab) {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    const reader = await a.lock.read.lock();
    const writing = b.lock.write.lock(1_000).catch((error: { code: string }) => error.code);
    await lab.clock.advance(500);
    expect(await a.lock.read.isLocked()).toBe(true);
    await lab.clock.advance(600);
    expect(await writing).toBe('ACQUIRE_TIMEOUT');
    expect(await a.lock.read.isLocked()).toBe(false);
    expect(reader.isHeld).toBe(true);
  },
};

function waitFor(client: LabClient, mode: 'read' | 'write', onGrant?: () => void): { permit?: Permit } {
  const waiting: { permit?: Permit } = {};
  void client.lock[mode].lock().then((permit) => {
    waiting.permit = permit;
    onGrant?.();
  });
  return waiting;
}
