import { HANDED_OFF_MS } from '../acquire/receive-hand-off';
import type { Entry } from '../store/store';
import type { SlotTable, QueuedTicket } from '../state/slot-table';
import { isoTime } from '../runtime/clock';
import type { Context } from '../store/context';
import type { Watcher } from '../state/watcher';
import { newId } from '../runtime/id';
import { type HeldSlot, type Lease, safetyMargin } from '../lease/lease';
import { type Hold, encodeRecord } from '../protocol/records';

/**
 * Hands a slot off to the next waiter in the queue, in another process, with the write that releases it. The receiver has the slot when it
 * hears of that write. Otherwise it would have to hear of the release, claim the slot and wait for the answer.
 *
 * Invariants:
 * - The slot is written over under the revision of the releaser's last write: it was the releaser's until then, and is the receiver's from
 *   then on. That write names the receiver's ticket, so for every process that hears of it the receiver is served, as by a claim of its
 *   own.
 * - A slot is handed off for no longer than the releaser's own hold stands in the server. The receiver counts from when it sent the last
 *   write of its ticket that the releaser had heard of when it decided. So as long as the slot counts for the receiver, the hold before can
 *   not have run out in the server, and no expiry of that can have been written over the hand-off.
 * - Several processes may hand off to the same ticket at once, and the waiter may leave meanwhile. The process that receives a slot it does
 *   not need hands it off at once. It listens for that a moment longer than it has a waiter.
 */

/**
 * Minimum time that is to be left when the receiver hears of it, in ms. A ticket that is too old for that may be of a dead process: a live
 * one writes it every 3 s. So if the receiving process is dead, the slot frees before its ticket would have run out.
 */
const MIN_MS = 2_000;

/** The receiver of a slot, and for how long it is handed off. */
export interface HandOff {
  readonly to: QueuedTicket;
  readonly ttl: number;
}

/**
 * Decides whether the slot of a lease that ends is handed off to the next waiter: if that waiter accepts hand-offs, and could still renew
 * it.
 */
export function planHandOff(
  next: QueuedTicket,
  { stands }: Lease,
  { safetyMargin: configured }: Context,
  feed: Watcher,
): HandOff | undefined {
  const { count, holdTtl = 0 } = next.ticket;
  if (count !== 1 || holdTtl < HANDED_OFF_MS) return undefined;
  const ttl = Math.min(HANDED_OFF_MS, Math.floor(stands));
  const age = Math.max(0, feed.ageOf(next.entry) ?? Infinity);
  return ttl - age - safetyMargin(holdTtl, configured) >= MIN_MS ? { to: next, ttl } : undefined;
}

/**
 * Hands off the slot of a lease that ends. Resolves with whether it was still the lease's.
 * @param gave called with the entry that the slot is under then
 */
export async function handOff(
  { clock, store }: Context,
  table: SlotTable,
  { deadline, writtenAs }: Lease,
  { key, revision }: HeldSlot,
  { to, ttl }: HandOff,
  gave: (entry: Entry) => void,
): Promise<boolean> {
  const { entry, id } = to;
  const { holder, meta } = to.ticket;
  const hold: Hold = {
    permit: newId(),
    holder,
    since: isoTime(clock.wallTime()),
    ttl,
    ticket: id,
    given: entry.revision,
    after: writtenAs,
    ...(meta === undefined ? {} : { meta }),
  };
  const value = encodeRecord(hold);
  // The next slot of this process is for the ticket behind it.
  const unserve = table.serve(id);
  try {
    const result = await store.commit([{ key, expected: revision, value, ttl }], {
      until: deadline,
    });
    if (result.committed)
      gave({ key, value, ttl, revision: result.revisions[0] as number, writtenAt: clock.wallTime() });
    return result.committed;
  } finally {
    unserve();
  }
}
