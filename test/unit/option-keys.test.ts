import { describe, expect, it } from '@jest/globals';
import {
  LocalDispatcher,
  NatsDispatcher,
  createLock,
  getDefaultLockManager,
  getOrCreateLock,
  lockContext,
} from '../../src';
import { checkKeys, nearestName, optionKeys } from '../../src/api/option-keys';
import { startSidecar } from '../../src/sidecar';
import { TestCluster, TestServer } from '../../src/testing';

const dispatcher = new LocalDispatcher();
const semaphore = dispatcher.semaphore('s', 2);
const mutex = dispatcher.mutex('m');
const latch = dispatcher.latch('l', 1);
const file = dispatcher.readWriteLock('f');
const nats = createLock('nats');
const manager = getDefaultLockManager();
const work = (): void => {
  throw new Error('it must not run');
};
/** As JavaScript may pass it. */
const wrong = (options: object): never => options as never;

const firstOf = (all: AsyncIterable<unknown>): Promise<unknown> => all[Symbol.asyncIterator]().next();

/** What is thrown, and whether at once or as a rejection. */
async function refusalOf(call: () => unknown): Promise<{ error: unknown; how: string }> {
  let result: unknown;
  try {
    result = call();
  } catch (error) {
    return { error, how: 'throws' };
  }
  try {
    await result;
  } catch (error) {
    return { error, how: 'rejects' };
  }
  throw new Error('it was not refused');
}

describe('an option that is not known', () => {
  it.each<[string, 'throws' | 'rejects', () => unknown, string]>([
    [
      'acquire',
      'rejects',
      () => semaphore.acquire(wrong({ timout: 5 })),
      'timeout? (in the options of an acquire)',
    ],
    ['tryAcquire', 'rejects', () => semaphore.tryAcquire(wrong({ timout: 5 })), 'timeout?'],
    ['lock', 'rejects', () => semaphore.lock(wrong({ timout: 5 })), 'timeout?'],
    ['lock with work', 'rejects', () => semaphore.lock(wrong({ timout: 5 }), work), 'timeout?'],
    ['acquire of a mutex', 'rejects', () => mutex.acquire(wrong({ timout: 5 })), 'timeout?'],
    ['acquire to read', 'rejects', () => file.read.acquire(wrong({ timout: 5 })), 'timeout?'],
    ['readLock', 'rejects', () => dispatcher.readLock('f', wrong({ timout: 5 })), 'timeout?'],
    ['writeLock', 'rejects', () => dispatcher.writeLock('f', wrong({ timout: 5 }), work), 'timeout?'],
    ['acquire of a lock by name', 'rejects', () => nats.acquire(wrong({ timout: 5 })), 'timeout?'],
    ['lockContext', 'rejects', () => lockContext(mutex, wrong({ timout: 5 }), work), 'timeout?'],
    ['drainPermits', 'rejects', () => semaphore.drainPermits(wrong({ sginal: 5 })), 'signal?'],
    ['acquireAll', 'rejects', () => dispatcher.acquireAll([{ semaphore }], wrong({ timout: 5 })), 'timeout?'],
    [
      'acquireAll, of one of the wants',
      'rejects',
      () => dispatcher.acquireAll([wrong({ semaphore, cuont: 2 })]),
      'count? (in the options of one of the wants)',
    ],
    [
      'wait for a latch',
      'rejects',
      () => latch.wait(wrong({ timout: 5 })),
      'timeout? (in the options of a wait for a latch)',
    ],
    ['watch', 'throws', () => semaphore.watch(wrong({ singal: 5 })), 'signal? (in the options of a watch)'],
    ['watch of a latch', 'throws', () => latch.watch(wrong({ singal: 5 })), 'signal?'],
    ['watch of a read-write lock', 'throws', () => file.watch(wrong({ singal: 5 })), 'signal?'],
    ['watch of a lock by name', 'rejects', () => firstOf(nats.watch(wrong({ singal: 5 }))), 'signal?'],
    [
      'semaphore',
      'throws',
      () => dispatcher.semaphore('x', 3, wrong({ lockTimeout: 1_000 })),
      'ttl? (in the options of a semaphore)',
    ],
    [
      'mutex',
      'throws',
      () => dispatcher.mutex('x', wrong({ expiry: 1_000 })),
      'ttl? (in the options of a mutex)',
    ],
    [
      'readWriteLock',
      'throws',
      () => dispatcher.readWriteLock('x', wrong({ leaseTime: 1_000 })),
      'ttl? (in the options of a read-write lock)',
    ],
    [
      'LocalDispatcher',
      'throws',
      () => new LocalDispatcher(wrong({ fiar: true })),
      'fair? (in the options of LocalDispatcher)',
    ],
    [
      'NatsDispatcher',
      'throws',
      () => new NatsDispatcher(wrong({}), wrong({ buket: 'B' })),
      'bucket? (in the options of NatsDispatcher)',
    ],
    [
      'NatsDispatcher, of its placement',
      'throws',
      () => new NatsDispatcher(wrong({}), { placement: wrong({ tag: ['a'] }) }),
      'tags? (in the options of placement)',
    ],
    [
      'connect',
      'rejects',
      () => NatsDispatcher.connect(wrong({ server: 'x' })),
      'servers? (in the options of NatsDispatcher.connect)',
    ],
    ['connect, of the client', 'rejects', () => NatsDispatcher.connect(wrong({ pas: 'x' })), 'pass?'],
    [
      'configure',
      'throws',
      () => manager.configure(wrong({ conection: 1 })),
      'connection? (in the options of a lock manager)',
    ],
    [
      'createLock',
      'throws',
      () => createLock('local', wrong({ nmae: 'x' })),
      'name? (in the options of createLock)',
    ],
    ['createLock on NATS', 'throws', () => createLock('nats', wrong({ tll: 5 })), 'ttl?'],
    ['getOrCreateLock', 'throws', () => getOrCreateLock('x', 'nats', wrong({ tll: 5 })), 'ttl?'],
    [
      'startSidecar',
      'rejects',
      () => startSidecar(wrong({ prot: 5 })),
      'port? (in the options of startSidecar)',
    ],
    [
      'startSidecar, of its connection',
      'rejects',
      () => startSidecar({ connect: wrong({ buckt: 'x' }) }),
      'bucket?',
    ],
    [
      'TestServer',
      'rejects',
      () => TestServer.start(wrong({ storeDri: 'x' })),
      'storeDir? (in the options of TestServer.start)',
    ],
    [
      'TestCluster',
      'rejects',
      () => TestCluster.start(3, wrong({ confg: 'x' })),
      'config? (in the options of TestCluster.start)',
    ],
  ])('is refused: %s', async (_, expected, call, meant) => {
    const { error, how } = await refusalOf(call);
    expect(how).toBe(expected);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toMatch(/^\w+: is not an option; did you mean /);
    expect((error as Error).message).toContain(`did you mean ${meant}`);
  });

  it('is refused for a lock that is there already', async () => {
    getOrCreateLock('there');
    expect(() => getOrCreateLock('there', 'local', wrong({ tll: 5 }))).toThrow('did you mean ttl?');
    await manager.close();
  });

  it('is refused with what is allowed, where no name is near', () => {
    expect(() => dispatcher.mutex('x', wrong({ colour: 'red' }))).toThrow(
      'colour: is not an option (in the options of a mutex); allowed: ttl, fair, retain, reentrant',
    );
    expect(() => new LocalDispatcher(wrong({ bucket: 'B' }))).toThrow(
      /^bucket: is not an option .*; allowed: holder,/,
    );
  });

  it('does not show its value, and its name as one line', () => {
    const options = wrong({ ['a\nb'.repeat(100)]: 'secret' });
    const { message } = (() => {
      try {
        return dispatcher.mutex('x', options) as never;
      } catch (error) {
        return error as Error;
      }
    })();
    expect(message).toMatch(/^"a\\nb.*\.\.\.": is not an option/);
    expect(message).not.toContain('secret');
    expect(message.length).toBeLessThan(300);
  });

  it('is refused where options are no object', async () => {
    expect(() => dispatcher.mutex('x', wrong(5_000 as never))).toThrow(
      new TypeError('the options of a mutex must be an object, got 5000'),
    );
    expect(() => dispatcher.semaphore('x', 1, null as never)).toThrow('must be an object, got null');
    await expect(latch.wait(null as never)).rejects.toThrow('must be an object, got null');
    await expect(semaphore.acquire(null as never)).rejects.toThrow(
      'must be a number of ms or an object, got null',
    );
  });
});

describe('an option that is known', () => {
  it('may be undefined', async () => {
    const none = { ttl: undefined, fair: undefined, retain: undefined };
    const other = new LocalDispatcher({ ...none, holder: undefined, safetyMargin: undefined });
    const lock = other.mutex('m', { ...none, reentrant: undefined });
    const options = { timeout: undefined, signal: undefined, ttl: undefined, autoRenew: undefined };
    await using permit = await lock.acquire({ ...options, metadata: undefined });
    expect(permit.isHeld).toBe(true);
    await other.close();
  });

  it("is read from where it stands: what all objects inherit is nobody's option", () => {
    const prototype = Object.prototype as { polluted?: string };
    prototype.polluted = 'by a library';
    try {
      expect(dispatcher.mutex('m', { ttl: 5_000 }).name).toBe('m');
    } finally {
      delete prototype.polluted;
    }
  });

  it('is none that objects have by themselves', () => {
    const keys = optionKeys<{ ttl?: number }>('a test', { ttl: true });
    expect(() => checkKeys({ toString: 1 }, keys)).toThrow(/^toString: is not an option/);
    expect(() => checkKeys(JSON.parse('{"__proto__":1}') as object, keys)).toThrow(
      /^__proto__: is not an option/,
    );
    expect(checkKeys(undefined, keys)).toBeUndefined();
  });
});

describe('the name that was meant', () => {
  const names = ['timeout', 'signal', 'ttl', 'autoRenew', 'metadata', 'count'];
  it.each([
    ['timout', 'timeout'],
    ['tiemout', 'timeout'],
    ['time_out', 'timeout'],
    ['TIMEOUT', 'timeout'],
    ['timeoutMs', 'timeout'],
    ['acquireTimeout', 'timeout'],
    ['wait', 'timeout'],
    ['lockTimeout', 'ttl'],
    ['expiry', 'ttl'],
    ['leaseTime', 'ttl'],
    ['tll', 'ttl'],
    ['autorenew', 'autoRenew'],
    ['metdata', 'metadata'],
    ['cuont', 'count'],
    ['colour', undefined],
    ['x', undefined],
    ['ms', undefined],
    ['', undefined],
    ['timeout'.repeat(10_000), undefined],
  ])('of %s is %s', (given, meant) => {
    expect(nearestName(given, names)).toBe(meant);
  });

  it('is one that the place knows', () => {
    expect(nearestName('lockTimeout', ['fair'])).toBeUndefined();
    expect(nearestName('expiry', ['timeout', 'signal'])).toBeUndefined();
  });
});
