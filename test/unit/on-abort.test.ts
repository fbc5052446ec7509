import { getEventListeners, once } from 'node:events';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { LocalDispatcher, getDefaultLockManager } from '../../src';
import { Abort } from '../../src/runtime/cancellation';
import { abortReason, abortWith, onAbort, throwIfAborted } from '../../src/runtime/on-abort';
import { eventually } from '../support/eventually';
import { warningsDuring } from '../support/warnings';

/** What old libraries and other realms have in place of an AbortSignal: no `reason`, no `throwIfAborted`, no EventTarget of ours. */
class ForeignSignal {
  aborted = false;
  readonly listeners: (() => void)[] = [];

  addEventListener(_type: 'abort', listener: () => void): void {
    this.listeners.push(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const at = this.listeners.indexOf(listener);
    if (at >= 0) this.listeners.splice(at, 1);
  }

  abort(): void {
    this.aborted = true;
    for (const listener of [...this.listeners]) listener();
  }
}

describe('onAbort', () => {
  it('calls back in the order of asking, once each, with one listener on the signal', () => {
    const controller = new AbortController();
    const called: number[] = [];
    for (let index = 0; index < 50; index++) onAbort(controller.signal, () => called.push(index));
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
    controller.abort();
    expect(called).toEqual(Array.from({ length: 50 }, (_, index) => index));
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });

  it('has no listener once each was stopped, and one again when something waits again', () => {
    const { signal } = new AbortController();
    const stops = [onAbort(signal, () => undefined), onAbort(signal, () => undefined)];
    stops[0]!();
    stops[0]!();
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    stops[1]!();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    onAbort(signal, () => undefined);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    // Of before: it does not touch the new one.
    stops[1]!();
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  });

  it('calls the same function as often as it was given', () => {
    const controller = new AbortController();
    let calls = 0;
    const callback = (): void => void calls++;
    const stop = onAbort(controller.signal, callback);
    onAbort(controller.signal, callback);
    onAbort(controller.signal, callback);
    stop();
    controller.abort();
    expect(calls).toBe(2);
  });

  it('does not call one that an earlier one has stopped, and calls at once one that is added meanwhile', () => {
    const controller = new AbortController();
    const called: string[] = [];
    onAbort(controller.signal, () => {
      called.push('first');
      stop();
      onAbort(controller.signal, () => called.push('added'));
    });
    const stop = onAbort(controller.signal, () => called.push('stopped'));
    onAbort(controller.signal, () => called.push('last'));
    controller.abort();
    expect(called).toEqual(['first', 'added', 'last']);
  });

  it('calls the others when one throws, and warns', async () => {
    const controller = new AbortController();
    let called = false;
    onAbort(controller.signal, () => {
      throw new Error('mine');
    });
    onAbort(controller.signal, () => (called = true));
    const warnings = await warningsDuring(() => controller.abort());
    expect(called).toBe(true);
    expect(warnings).toMatchObject([
      { name: 'NatsSemaphoreWarning', code: 'NATS_SEMAPHORE_LISTENER_FAILED' },
    ]);
  });

  it('calls at once if the signal has aborted', () => {
    let called = 0;
    onAbort(AbortSignal.abort(), () => called++);
    const abort = new Abort();
    abort.abort();
    onAbort(abort, () => called++);
    expect(called).toBe(2);
  });

  it('links a controller to signals until it is told to stop', () => {
    const [a, b] = [new AbortController(), new AbortController()];
    const [linked, unlinked] = [new AbortController(), new AbortController()];
    abortWith(linked, a.signal, undefined, b.signal);
    abortWith(unlinked, a.signal, b.signal)();
    b.abort('why');
    expect(linked.signal.reason).toBe('why');
    expect(unlinked.signal.aborted).toBe(false);
  });

  it('gives a reason where the signal has none', () => {
    const foreign = new ForeignSignal();
    expect(() => throwIfAborted(foreign as never)).not.toThrow();
    foreign.abort();
    expect(abortReason(foreign as never)).toMatchObject({ name: 'AbortError' });
    expect(() => throwIfAborted(foreign as never)).toThrow(/aborted/);
    expect(abortReason(AbortSignal.abort(null))).toBeNull();
  });
});

describe('a signal that is not of this platform', () => {
  it('ends every kind of wait, with one listener', async () => {
    await using dispatcher = new LocalDispatcher();
    const foreign = new ForeignSignal();
    const signal = foreign as unknown as AbortSignal;
    const mutex = dispatcher.mutex('m');
    const reentrant = dispatcher.mutex('r', { reentrant: true });
    await using held = await mutex.acquire();
    await using other = await reentrant.lock({ signal });
    expect([held.isHeld, other.isHeld]).toEqual([true, true]);
    const latch = dispatcher.latch('l', 1);
    const ended = Promise.allSettled([
      mutex.acquire({ signal }),
      mutex.lock({ signal }, () => undefined),
      latch.wait({ signal }),
      mutex.watch({ signal })[Symbol.asyncIterator]().next(),
    ]);
    expect(foreign.listeners).toHaveLength(1);
    foreign.abort();
    const outcomes = await ended;
    for (const outcome of outcomes.slice(0, 3))
      expect(outcome).toMatchObject({ status: 'rejected', reason: { name: 'AbortError' } });
    expect(foreign.listeners).toHaveLength(0);
    await expect(latch.wait({ signal })).rejects.toMatchObject({ name: 'AbortError' });
    await expect(mutex.acquire({ signal })).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('is refused where it can not be listened to', async () => {
    await using dispatcher = new LocalDispatcher();
    const signal = { aborted: false, addEventListener: () => undefined } as never;
    await expect(dispatcher.mutex('m').acquire({ signal })).rejects.toThrow(
      'signal must be an AbortSignal, got [object Object]',
    );
  });
});

describe('a lock by name', () => {
  it('has one listener for many that wait for the connection, and none when the signal has aborted', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const manager = getDefaultLockManager();
    manager.configure({ servers: `127.0.0.1:${(silent.address() as AddressInfo).port}` });
    const { signal, abort } = shutdown();
    const lock = manager.createLock('nats');
    const outcomes = Promise.allSettled(Array.from({ length: 100 }, () => lock.acquire({ signal })));
    await eventually(() => expect(sockets).toHaveLength(1));
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    abort();
    for (const outcome of await outcomes) expect(outcome).toEqual({ status: 'rejected', reason: 'stop' });
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    silent.close();
    for (const socket of sockets) socket.destroy();
    await manager.close();
  });
});

function shutdown(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort('stop') };
}
