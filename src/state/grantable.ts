import type { SlotTable } from './slot-table';
import type { Keys } from '../protocol/keys';

/** A slot that may be claimed, and its expected revision. */
export interface FreeSlot {
  readonly slot: number;
  readonly expected: number;
  /** For a slot that is taken over from a hold: reading of the clock by which all writes to it have run out. */
  readonly earlier?: number | undefined;
}

/**
 * How many of the lowest slots may be granted under a limit, given which slots are taken.
 *
 * After the limit is lowered, slots above it may still be held. Until they are released the limit must hold for all together.
 * The result is the largest t such that t plus the number of taken slots from t on is within the limit. A process that grants
 * only slots below t keeps the limit, whatever other processes with the same rule grant at the same time: the taken slots
 * from t on can only become fewer.
 */
export function grantable(limit: number, taken: Iterable<number>): number {
  const high = [...taken].sort((a, b) => b - a);
  let t = limit;
  let above = 0;
  // Walks down from the top: `above` counts the taken slots at or above t.
  for (;;) {
    while (above < high.length && (high[above] as number) >= t) above++;
    if (t + above <= limit || t === 0) return Math.max(0, t);
    t = limit - above;
  }
}

/** Slots that may be claimed now, according to a table that shows all entries. */
export function freeSlots(table: SlotTable, keys: Keys, limit: number, now: number): FreeSlot[] {
  const most = table.fits(limit) ? limit : grantable(limit, table.taken.keys());
  const free: FreeSlot[] = [];
  for (let slot = 0; slot < most; slot++) {
    if (table.taken.has(slot)) continue;
    free.push({ slot, expected: table.entries.expectedIfFree(keys.slot(slot), now) });
  }
  return free;
}

/**
 * How many permits are available: the limit less all held slots, also the ones above it. A retained slot counts as
 * available: a waiter gets it as soon as the process that retains it learns of the demand.
 */
export function available(table: SlotTable, limit: number): number {
  return Math.max(0, limit - (table.taken.size - table.kept.size));
}
