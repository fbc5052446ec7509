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
 * Giving a slot to the next in the queue in another process, with the write that releases it: he has it when he hears of that,
 * where he would have to hear, to claim and to be answered.
 *
 * Invariants:
 * - The slot is written over under the revision of our last write: it was ours until then, and is his from then on. That
 *   write names his ticket, so for all who hear of it he is served, as by a claim of his own.
 * - A slot is given for no longer than our own hold stands in the server. He counts from when he sent the
 *   last write of his ticket that we had heard of when we decided. So as long as it counts for him, the hold before can not
 *   have run out in the server, and no expiry of that can have been written over what was given.
 * - Several may hand off to the same ticket at once, and who waits may leave meanwhile: what is given and not needed is passed
 *   on at once by the process that it was given to, which listens for that a moment longer than anybody waits there.
 */

/**
 * Least that is to be left of it when he hears of it, in ms. A ticket that is too old for that may be of a dead process: a live
 * one writes it every 3 s. So a slot that is given to a dead one is free again before his ticket would have run out.
 */
const MIN_MS = 2_000;

/** Who is given a slot, and for how long. */
export interface HandOff {
  readonly to: QueuedTicket;
  readonly ttl: number;
}

/** Whether the slot of a lease that ends is given to the next: if he takes what he is given, and could still prolong it. */
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
 * Gives the slot of a lease that ends. Resolves with whether it was still the lease's.
 * @param gave told of the entry that the slot is under then
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
  // The next slot of ours is for the one behind it.
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
