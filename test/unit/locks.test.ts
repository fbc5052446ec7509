import { afterEach, describe, expect, it } from '@jest/globals';
import {
  LocalDispatcher,
  createLock,
  getDefaultLockManager,
  getLock,
  getOrCreateLock,
  lockContext,
} from '../../src';

const manager = getDefaultLockManager();
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

afterEach(() => manager.close());

describe('locks by name, within the process', () => {
  it('gives the same instance for the same name, which excludes', async () => {
    const lock = getOrCreateLock('config');
    expect(getOrCreateLock('config', 'local', {})).toBe(lock);
    expect(getLock('config')).toBe(lock);
    expect(manager.getLock('config')).toBe(lock);
    expect(getLock('other')).toBeUndefined();
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside);
      await turn();
      inside--;
    };
    await Promise.all(
      Array.from({ length: 10 }, () => lockContext(getOrCreateLock('config'), { timeout: 5_000 }, work)),
    );
    expect(most).toBe(1);
  });

  it('lists what was asked for', () => {
    const a = getOrCreateLock('a');
    const b = getOrCreateLock('b', 'nats');
    createLock();
    expect(manager.listLocks()).toEqual([
      { name: 'a', backend: 'local', lock: a },
      { name: 'b', backend: 'nats', lock: b },
    ]);
  });

  it('says clearly when the name exists otherwise', () => {
    getOrCreateLock('config', 'local', { ttl: 5_000 });
    const conflict = { name: 'LockConflictError', code: 'LOCK_CONFLICT', primitive: 'config' };
    const attempt = (make: () => unknown): unknown => {
      try {
        return make();
      } catch (error) {
        return error;
      }
    };
    expect(attempt(() => getOrCreateLock('config', 'nats'))).toMatchObject(conflict);
    expect(attempt(() => getOrCreateLock('config', 'local', { ttl: 6_000 }))).toMatchObject(conflict);
    expect(attempt(() => getOrCreateLock('config', 'local', { reentrant: true }))).toMatchObject(conflict);
    expect(getOrCreateLock('config', 'local', { ttl: 5_000, fair: false })).toBe(getLock('config'));
    expect(() => getOrCreateLock('x', 'redis' as 'nats')).toThrow('backend must be "local" or "nats"');
    expect(() => getOrCreateLock('', 'nats')).toThrow(RangeError);
    expect(() => getOrCreateLock('x', 'nats', { ttl: 1 })).toThrow(RangeError);
    expect(getLock('x')).toBeUndefined();
  });

  it('uses the timeout it is given, for any lock', async () => {
    await using dispatcher = new LocalDispatcher();
    for (const lock of [getOrCreateLock('config'), createLock(), dispatcher.semaphore('s', 1)]) {
      const held = await lock.lock();
      const late = { code: 'ACQUIRE_TIMEOUT' };
      const within = `within 30 ms`;
      await expect(lockContext(lock, { timeout: 30 }, () => 'never')).rejects.toMatchObject(late);
      await expect(lockContext(lock, 30, () => 'never')).rejects.toThrow(within);
      await held.release();
      expect(await lockContext(lock, {}, (permit) => permit.isHeld)).toBe(true);
      const signal = AbortSignal.abort(new Error('no'));
      await expect(lockContext(lock, { signal }, () => 'never')).rejects.toThrow('no');
    }
  });

  it('makes new locks after it was closed; those before are closed', async () => {
    const lock = getOrCreateLock('config');
    const permit = await lock.lock();
    await manager.close();
    await manager.close();
    expect(permit.isHeld).toBe(false);
    await expect(lock.lock()).rejects.toMatchObject({ code: 'DISPATCHER_CLOSED' });
    const next = getOrCreateLock('config', 'local', { fair: true });
    expect(next).not.toBe(lock);
    await (await next.lock(1_000)).release();
  });
});
