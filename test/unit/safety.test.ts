import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Lease } from '../../src/core/lease';
import { Lab } from '../support/lab';
import { regardless, rewriting, withMethods } from '../support/sabotage';
import { safetyScenarios } from '../suites/safety-scenarios';

describe('safety', () => {
  it.each(Object.entries(safetyScenarios))('%s', async (_, tell) => {
    const lab = new Lab();
    await tell(lab);
    await lab.close();
  });
});

interface Variant {
  lab: () => Lab;
  caughtBy: string;
  setUp?: () => () => void;
}

const variants: Record<string, Variant> = {
  'claims without compare-and-swap': {
    caughtBy: 'at most as many as there are slots, and that many',
    lab: () => new Lab(regardless((write) => write.value !== null)),
  },
  'releases whatever is there': {
    caughtBy: 'a release under way when the lease ends leaves the next holder alone',
    lab: () => new Lab(regardless((write) => write.value === null)),
  },
  'renews without a TTL': {
    caughtBy: 'a holder that renewed and then died is followed within its ttl',
    lab: () =>
      new Lab(
        rewriting(async (write) => {
          const renewal = write.value?.includes('"token"') === true;
          return renewal ? { key: write.key, expected: write.expected, value: write.value } : write;
        }),
      ),
  },
  'has no deadline of its own': {
    caughtBy: 'a holder that can not renew has lost its permit before another gets the slot',
    lab: () => new Lab(undefined, -1e9),
  },
  'believes a late renewal': {
    caughtBy: 'a renewal whose answer comes after the deadline counts for nothing',
    lab: () => new Lab(),
    setUp: () => {
      const lease = Lease.prototype as unknown as { lookAtClock(): void; renewing?: Promise<void> };
      const original = Object.getOwnPropertyDescriptor(lease, 'lookAtClock')?.value as () => void;
      lease.lookAtClock = function (this: { renewing?: Promise<void> }): void {
        if (this.renewing === undefined) original.call(this);
      };
      return () => {
        lease.lookAtClock = original;
      };
    },
  },
  'does not read again after a reconnect': {
    caughtBy: 'a release during a lost link is noticed when the link is back',
    lab: () =>
      new Lab((store) =>
        withMethods(store, {
          listen: (patterns, listener) =>
            store.listen(patterns, {
              changed: (entry) => listener.changed(entry),
              interrupted: () => undefined,
            }),
        }),
      ),
  },
};

describe('a client that', () => {
  let mend: (() => void) | undefined;
  let lab: Lab;

  beforeEach(() => {
    mend = undefined;
  });
  afterEach(async () => {
    mend?.();
    await lab.close();
  });

  it.each(Object.entries(variants))('%s is caught', async (_, variant) => {
    lab = variant.lab();
    mend = variant.setUp?.();
    const tell = safetyScenarios[variant.caughtBy];
    await expect(tell?.(lab)).rejects.toThrow(/expect/);
  });
});
