import { Lease, type LeaseOwner } from '../lease/lease';
import { newHold, recordOf } from '../protocol/permit-record';
import type { Hold } from '../protocol/records';
import type { Want } from '../protocol/request';
import type { TakenSlot } from '../state/slot-table';
import type { Context } from '../store/context';

/**
 * Longest time for which a slot is handed off, in ms: long enough for the new holder to renew it. A waiter for a permit with a shorter ttl
 * receives no hand-off.
 */
export const HANDED_OFF_MS = 6_000;
/**
 * The lease of a slot that was handed off to a ticket of this process. It is extended to the requested ttl once it lasts, and is over
 * already if the process hears of it too late.
 */
export function receiveHandOff(
  context: Context,
  owner: LeaseOwner,
  primitive: string,
  { slot, entry }: TakenSlot,
  { given = 0, permit, since, ttl: lasts }: Hold,
  ticket: Lease,
  want: Want,
): Lease {
  const now = context.clock.now();
  return new Lease(context, owner, {
    primitive,
    record: recordOf(permit, () => ({
      ...newHold(permit, context.holder, 0, want, 0),
      since,
      ticket: ticket.id,
    })),
    ttl: want.ttl,
    lasts,
    slots: [{ slot, key: entry.key, revision: entry.revision, ttl: lasts, earlier: entry.earlier }],
    sentAt: ticket.sentAtOf(given) ?? now - lasts,
    freeSince: now,
    autoRenew: want.autoRenew,
  });
}
