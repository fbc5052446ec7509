import { describe, it } from '@jest/globals';
import { Retention } from '../../src/release/retention';
import { RetainedSlots } from '../../src/release/retained-slots';
import { Lease, type RetainedHold } from '../../src/lease/lease';
import { fencingToken } from '../../src/protocol/fencing-token';
import { Lab } from '../support/lab';
import { regardless, rewriting, withMethods } from '../support/sabotage';
import { type Variant, describeCaught } from '../support/variants';
import { RETAIN_MS, keepingScenarios } from '../suites/keeping-scenarios';
import { safetyScenarios } from '../suites/safety-scenarios';

describe.each([0, 1_000])('safety, retain: %i', (retain) => {
  it.each(Object.entries(safetyScenarios))('%s', async (_, tell) => {
    const lab = new Lab(undefined, undefined, retain);
    await tell(lab);
    await lab.close();
  });
});

describe('keeping', () => {
  it.each(Object.entries(keepingScenarios))('%s', async (_, tell) => {
    const lab = new Lab(undefined, undefined, RETAIN_MS);
    await tell(lab);
    await lab.close();
  });
});

/** Replaces a method, or a getter, until the returned function is called. */
function patch(
  prototype: object,
  name: string,
  change: (original: PropertyDescriptor) => PropertyDescriptor,
): () => void {
  const original = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor;
  Object.defineProperty(prototype, name, { ...change(original), configurable: true });
  return () => Object.defineProperty(prototype, name, original);
}

/** Has slots kept by other terms than those of their leases. */
function keepingBy(terms: Partial<RetainedHold>): () => void {
  return patch(RetainedSlots.prototype, 'keep', ({ value }) => ({
    value: function (this: RetainedSlots, hold: RetainedHold): void {
      (value as RetainedSlots['keep']).call(this, { ...hold, ...terms });
    },
  }));
}

const keepingLab = (): Lab => new Lab(undefined, undefined, RETAIN_MS);

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
  'grants what it kept after its lease': {
    caughtBy: 'a process that was stopped past the lease does not use what it kept',
    lab: keepingLab,
    setUp: () => keepingBy({ deadline: Infinity, sentAt: Infinity }),
  },
  'believes a late note': {
    caughtBy: 'a note whose answer comes after the lease ended counts for nothing',
    lab: keepingLab,
    setUp: () => keepingBy({ deadline: Infinity }),
  },
  'keeps slots although others wait': {
    caughtBy: 'a kept slot is given up at once when somebody else waits',
    lab: keepingLab,
    setUp: () => patch(Retention.prototype, 'othersWait', () => ({ value: () => false })),
  },
  'grants a kept slot under the token of the grant before': {
    caughtBy: 'a kept slot is granted again without a write, and tokens grow with every grant',
    lab: keepingLab,
    setUp: () =>
      patch(Lease.prototype, 'token', () => ({
        get(this: Lease): bigint {
          return fencingToken(this.claimedAs);
        },
      })),
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

describeCaught('a client that', variants, { ...safetyScenarios, ...keepingScenarios }, /expect/);
