import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type Dispatcher,
  type DispatcherEvents,
  LocalDispatcher,
  type Permit,
  SemaphoreError,
  lockContext,
} from '../../src';
import { StoreDispatcher } from '../../src/api/dispatcher';
import { MemoryStore } from '../../src/store/memory';
import { FakeClock } from '../support/fake-clock';
import { withMethods } from '../support/sabotage';
import { warningsDuring } from '../support/warnings';

/** A dispatcher whose store can be told to refuse to remove anything, over a clock that the test moves. */
class Refusing extends StoreDispatcher {
  constructor(
    readonly clock = new FakeClock(),
    private readonly state = { refuses: false },
  ) {
    const store = new MemoryStore(clock);
    super(
      withMethods(store, {
        commit: (writes, options) =>
          state.refuses && writes.some(({ value }) => value === null)
            ? Promise.reject(new SemaphoreError('WRITE_REFUSED', 'the storage is full'))
            : store.commit(writes, options),
      }),
      clock,
      {},
    );
  }

  set refuses(refuses: boolean) {
    this.state.refuses = refuses;
  }

  /** Lets the process stand still for longer than any hold lasts. */
  async lose(): Promise<void> {
    this.clock.jump(60_000);
    await this.clock.advance(1);
  }

  protected closeBackend(): Promise<void> {
    return Promise.resolve();
  }
}

let dispatcher: Refusing;
let names = 0;
let name: string;

beforeEach(() => {
  dispatcher = new Refusing();
  name = `name-${++names}`;
});
afterEach(async () => {
  dispatcher.refuses = false;
  await dispatcher.close();
});

type Work<T> = (permit: Permit) => T | Promise<T>;
const WAYS: [string, (dispatcher: Dispatcher, name: string) => <T>(work: Work<T>) => Promise<T>][] = [
  ['a semaphore', (all, name) => (work) => all.semaphore(name, 2).lock({}, work)],
  ['several slots', (all, name) => (work) => all.semaphore(name, 2).lock({ count: 2 }, work)],
  ['a mutex', (all, name) => (work) => all.mutex(name).lock({}, work)],
  ['a reentrant mutex', (all, name) => (work) => all.mutex(name, { reentrant: true }).lock({}, work)],
  ['a lock to read', (all, name) => (work) => all.readLock(name, {}, work)],
  ['a lock to write', (all, name) => (work) => all.writeLock(name, {}, work)],
  ['lockContext', (all, name) => (work) => lockContext(all.mutex(name), {}, work)],
];

function failures(): DispatcherEvents['releaseFailed'][] {
  const told: DispatcherEvents['releaseFailed'][] = [];
  dispatcher.on('releaseFailed', (detail) => told.push(detail));
  return told;
}

describe.each(WAYS)('work under %s whose release is refused', (what, way) => {
  const kind = what.includes('to ') ? 'read-write-lock' : /sema|slots/.test(what) ? 'semaphore' : 'mutex';

  it('keeps its result, and the release is told of by an event', async () => {
    const told = failures();
    let permitId = '';
    const warnings = await warningsDuring(async () => {
      const result = way(
        dispatcher,
        name,
      )((permit) => {
        permitId = permit.id;
        dispatcher.refuses = true;
        return 'result';
      });
      expect(await result).toBe('result');
    });
    expect(told).toEqual([
      { kind, name, permitId, error: expect.objectContaining({ code: 'WRITE_REFUSED' }) },
    ]);
    expect(warnings).toEqual([]);
  });

  it('keeps its result, and the process is warned once if nothing listens', async () => {
    const run = async (): Promise<void> => {
      const result = await way(
        dispatcher,
        name,
      )(() => {
        dispatcher.refuses = true;
        return 'result';
      });
      expect(result).toBe('result');
      dispatcher.refuses = false;
      // The entry that could not be removed.
      await dispatcher.clock.advance(40_000);
    };
    const warnings = await warningsDuring(async () => {
      await run();
      await run();
    });
    expect(warnings).toMatchObject([
      {
        name: 'NatsSemaphoreWarning',
        code: 'NATS_SEMAPHORE_RELEASE_FAILED',
        message: expect.stringContaining(`"${name}" could not be released`),
      },
    ]);
  });

  it('keeps its error, which carries that of the release', async () => {
    const told = failures();
    const mine = new Error('mine');
    const failing = way(
      dispatcher,
      name,
    )(() => {
      dispatcher.refuses = true;
      throw mine;
    });
    await expect(failing).rejects.toBe(mine);
    expect(mine).toMatchObject({ releaseError: { code: 'WRITE_REFUSED' } });
    expect(Object.keys(mine)).toEqual([]);
    expect(told).toHaveLength(1);
  });
});

describe('an error of work that can not carry that of the release', () => {
  it.each([
    ['is frozen', Object.freeze(new Error('mine'))],
    ['is no object', 'mine'],
    ['is null', null],
  ])('wins as well, and the process is warned: it %s', async (_, mine) => {
    const warnings = await warningsDuring(async () => {
      const failing = dispatcher.mutex(name).lock({}, () => {
        dispatcher.refuses = true;
        // eslint-disable-next-line @typescript-eslint/only-throw-error -- what is no error, too
        throw mine;
      });
      await expect(failing.catch((error: unknown) => ({ error }))).resolves.toEqual({ error: mine });
    });
    expect(warnings).toMatchObject([{ code: 'NATS_SEMAPHORE_RELEASE_FAILED' }]);
  });

  it('keeps that of a lock within', async () => {
    const told = failures();
    const mine = new Error('mine');
    const failing = dispatcher.mutex(`${name}-outer`).lock({}, () =>
      dispatcher.mutex(`${name}-inner`).lock({}, () => {
        dispatcher.refuses = true;
        throw mine;
      }),
    );
    await expect(failing).rejects.toBe(mine);
    expect(told.map((failure) => failure.name)).toEqual([`${name}-inner`, `${name}-outer`]);
    expect((mine as { releaseError?: unknown }).releaseError).toBe(told[0]?.error);
  });
});

describe('the end of an "await using" whose release is refused', () => {
  it('hides neither the result nor the error of the block', async () => {
    const told = failures();
    const { clock } = dispatcher;
    const block = async (fail: boolean, permit: Promise<Permit>): Promise<string> => {
      await using held = await permit;
      dispatcher.refuses = true;
      if (fail) throw new Error(`mine ${held.count}`);
      return 'result';
    };
    expect(await block(false, dispatcher.mutex(name).lock())).toBe('result');
    await expect(block(true, dispatcher.semaphore(name).lock())).rejects.toThrow(/^mine 1$/);
    dispatcher.refuses = false;
    await clock.advance(40_000);
    const wants = [{ semaphore: dispatcher.mutex(name) }, { semaphore: dispatcher.semaphore(name) }];
    await expect(block(true, dispatcher.acquireAll(wants))).rejects.toThrow(/^mine 2$/);
    expect(told.map((failure) => failure.name)).toEqual([name, name, `${name}, ${name}`]);
  });
});

describe('a release by hand that is refused', () => {
  it('rejects, and is told of by nothing else', async () => {
    const told = failures();
    const permit = await dispatcher.mutex(name).acquire();
    dispatcher.refuses = true;
    const warnings = await warningsDuring(() =>
      expect(permit.release()).rejects.toMatchObject({ code: 'WRITE_REFUSED' }),
    );
    expect([told, warnings]).toEqual([[], []]);
  });
});

describe.each(WAYS)('a permit lost during work under %s', (_, way) => {
  const lose = (): Promise<void> => dispatcher.lose();

  it('is warned of once, with what to do, if nothing looked', async () => {
    const warnings = await warningsDuring(async () => {
      for (let again = 0; again < 3; again++) {
        const result = await way(
          dispatcher,
          name,
        )(async (permit) => {
          // As for a log: nothing is learned from it of the hold.
          expect([permit.id, permit.fencingToken, permit.slots].length).toBe(3);
          await lose();
          return 'result';
        });
        expect(result).toBe('result');
      }
    });
    expect(warnings).toHaveLength(1);
    const { code, message } = warnings[0]!;
    expect(code).toBe('NATS_SEMAPHORE_LOSS_UNNOTICED');
    for (const part of [`"${name}"`, 'permit.signal', 'throwIfAborted', 'fencingToken', '"lost"'])
      expect(message).toContain(part);
  });

  it.each<[string, (permit: Permit) => unknown]>([
    ['its signal', ({ signal }) => signal],
    ['isHeld', ({ isHeld }) => isHeld],
    ['remaining', ({ remaining }) => remaining],
    ['its "lost" event', (permit) => permit.on('lost', () => undefined)],
    ['a renewal', (permit) => permit.renew()],
  ])('is not warned of if the work looked at %s', async (_, look) => {
    const warnings = await warningsDuring(() =>
      way(
        dispatcher,
        name,
      )(async (permit) => {
        await look(permit);
        await lose();
      }),
    );
    expect(warnings).toEqual([]);
  });

  it('is not warned of if something listens to the dispatcher, or the work fails, or releases before', async () => {
    const lost: string[] = [];
    const warnings = await warningsDuring(async () => {
      const stop = dispatcher.on('lost', (detail) => lost.push(detail.name));
      await way(dispatcher, name)(lose);
      stop();
      const failing = way(
        dispatcher,
        name,
      )(async () => {
        await lose();
        throw new Error('mine');
      });
      await expect(failing).rejects.toThrow('mine');
      await way(
        dispatcher,
        name,
      )(async (permit) => {
        await permit.release();
        await lose();
      });
      await way(dispatcher, name)(() => undefined);
    });
    expect(lost).toEqual([name]);
    expect(warnings).toEqual([]);
  });
});

describe('warnings', () => {
  it('end after a thousand names, and say so', async () => {
    const warnings = await warningsDuring(async () => {
      for (let index = 0; index < 1_100; index++) {
        await dispatcher.mutex(`${name}-${index}`).lock({}, () => dispatcher.lose());
      }
    });
    expect(warnings.length).toBeGreaterThan(900);
    expect(warnings.length).toBeLessThanOrEqual(1_000);
    expect(warnings.at(-1)?.message).toContain('Further warnings of this kind are not shown');
    expect(warnings.slice(0, -1).some(({ message }) => message.includes('Further'))).toBe(false);
  });
});

it('LocalDispatcher has the same events', async () => {
  await using local = new LocalDispatcher();
  local.on('releaseFailed', () => undefined);
  expect(await local.mutex('m').lock({}, () => 'result')).toBe('result');
});
