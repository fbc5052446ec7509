import { describe, it } from '@jest/globals';
import { Watcher } from '../../src/state/watcher';
import { type HeldSlot, Lease } from '../../src/lease/lease';
import { Lab } from '../support/lab';
import { rewriting, withMethods } from '../support/sabotage';
import { type Variant, describeCaught } from '../support/variants';
import { readWriteScenarios } from '../suites/read-write-scenarios';

describe('a read-write lock', () => {
  it.each(Object.entries(readWriteScenarios))('%s', async (_, tell) => {
    const lab = new Lab();
    await tell(lab);
    await lab.close();
  });
});

type Method = (this: never, ...args: never[]) => unknown;

/** Replaces a method of a class by what `instead` makes of it. Returns how to put it back. */
function replaced(prototype: object, name: string, instead: (original: Method) => Method): () => void {
  const own = prototype as Record<string, Method>;
  const original = own[name] as Method;
  own[name] = instead(original);
  return () => {
    own[name] = original;
  };
}

const variants: Record<string, Variant> = {
  'reads under no condition': {
    caughtBy: 'nobody begins to read while somebody writes, whatever he believes',
    lab: () =>
      new Lab(
        rewriting(({ expectedOf, ...write }) =>
          Promise.resolve(expectedOf === undefined ? write : { ...write, expected: 0 }),
        ),
      ),
  },
  "writes as soon as it has the writer's place": {
    caughtBy: 'nobody writes while somebody reads, whatever he believes',
    lab: () =>
      new Lab((store) =>
        withMethods(store, {
          read: async (patterns) =>
            (await store.read(patterns)).filter(({ key }) => !key.startsWith('rw.s.reader.')),
        }),
      ),
  },
  "trusts what it knew before it had the writer's place": {
    caughtBy: 'one who began to read without having been announced is waited for',
    lab: () => new Lab(),
    setUp: () =>
      replaced(
        Watcher.prototype,
        'refresh',
        (refresh) =>
          function (this: Watcher) {
            if (!this.live) refresh.call(this as never);
          },
      ),
  },
  'believes a late renewal': {
    caughtBy: 'a renewal that is stored after its own expiry counts for nothing',
    lab: () => new Lab(),
    setUp: () =>
      replaced(
        Lease.prototype,
        'lookAtClock',
        (lookAtClock) =>
          function (this: { renewing?: Promise<void> }) {
            if (this.renewing === undefined) lookAtClock.call(this as never);
          },
      ),
  },
  'has no deadline of its own': {
    caughtBy: 'one who reads and can not renew has lost his permit before anybody writes',
    lab: () => new Lab(undefined, -1e9),
  },
  "gives back the writer's place before it reads": {
    caughtBy: 'who wrote and now reads leaves no moment in which another could write',
    lab: () => new Lab(),
    setUp: () =>
      replaced(
        Lease.prototype,
        'moveTo',
        (moveTo) =>
          async function (this: Lease, key: string) {
            const own = this as unknown as { free(slots: readonly HeldSlot[]): Promise<boolean> };
            await own.free(this.held);
            await moveTo.call(this as never, key as never);
          },
      ),
  },
  "keeps the writer's place when it gives up": {
    caughtBy: 'who gives up waiting to write leaves nothing that keeps others out',
    lab: () => new Lab(),
    setUp: () => replaced(Lease.prototype, 'release', () => () => Promise.resolve(true)),
  },
};

describeCaught('a read-write lock that', variants, readWriteScenarios, /expect|was lost/);
