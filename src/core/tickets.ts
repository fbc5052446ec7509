import { isoTime } from './clock';
import type { Context } from './context';
import { newId } from './id';
import type { Keys } from './keys';
import { Lease, type LeaseOwner } from './lease';
import { type Ticket, encodeRecord } from './record';
import type { Waiter } from './waiter';

/**
 * How long a place in the queue outlives the process that waits in it, in ms. All tickets of dead processes run out at
 * once, so the queue stalls no longer than this plus a second, however many died. A live waiter renews its ticket every
 * third of it, which is what a longer time would save.
 */
export const TICKET_TTL_MS = 10_000;

/** A waiter's place in the queue that all processes see. */
export interface Place {
  readonly id: string;
  readonly lease: Lease;
}

/**
 * Joins the queue: one write, whose revision is the place. Resolves with undefined if the waiter left meanwhile.
 * @param owner told when the ticket is gone
 */
export async function joinQueue(
  context: Context,
  primitive: string,
  keys: Keys,
  waiter: Waiter,
  count: number,
  owner: LeaseOwner,
  abandon: AbortSignal,
): Promise<Place | undefined> {
  const { metadata } = waiter.want;
  const id = newId();
  const key = keys.ticket(id);
  const ticket: Ticket = {
    holder: context.holder,
    since: isoTime(context.clock.wallTime()),
    ttl: TICKET_TTL_MS,
    count,
    ...(metadata === undefined ? {} : { meta: metadata }),
  };
  const write = { key, expected: 0, value: encodeRecord(ticket), ttl: TICKET_TTL_MS };
  const committing = context.store.commit([write], { abandon });
  context.background.add(committing);
  const result = await committing;
  if (!result.committed) return undefined;
  const lease = new Lease(context, owner, {
    primitive,
    record: { id, encode: (_, ttl, token) => encodeRecord({ ...ticket, ttl, token }), owns: () => true },
    ttl: TICKET_TTL_MS,
    slots: [{ slot: 0, key, revision: result.revisions[0] as number }],
    sentAt: result.sentAt,
    autoRenew: true,
  });
  return { id, lease };
}
