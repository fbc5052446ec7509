import type { Context } from '../store/context';
import { Lease, type LeaseOwner, type RetainedHold } from '../lease/lease';
import { newHold, recordOf } from '../protocol/permit-record';
import type { Want } from '../protocol/request';

/**
 * A permit on a slot that was retained: over the hold that is in the store, with what is left of its lease and the next token under its
 * revision. Nothing is written; if the permit lasts, its first renewal shows it to others.
 * @param freeSince reading of the clock at its release
 */
export function grantAgain(
  context: Context,
  owner: LeaseOwner,
  primitive: string,
  { earlier, key, permit: over, revision, sentAt, slot, ttl, turnSince, uses }: RetainedHold,
  want: Want,
  freeSince: number,
): Lease {
  const since = context.clock.wallTime();
  const use = uses + 1;
  const { retain } = want;
  return new Lease(context, owner, {
    primitive,
    record: recordOf(undefined, (_, permit) => newHold(permit, context.holder, since, want, retain), use),
    ttl,
    slots: [{ slot, key, revision, ttl, earlier }],
    sentAt,
    freeSince,
    turnSince,
    autoRenew: true,
    retain,
    use,
    over,
  });
}
