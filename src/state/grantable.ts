import type { SlotTable } from './slot-table';
import type { Keys } from '../protocol/keys';

/** A slot that may be claimed, and the revision to expect of it. */
export interface FreeSlot {
  readonly slot: number;
  readonly expected: number;
  /** Where it is taken over from a hold: reading of the clock by which all that was written to it has run out. */
  readonly earlier?: number | undefined;
}

/**
 * How many of the lowest slots may be granted under a limit, given which slots are taken.
 *
 * After a shrink, slots above the limit may still be held. Until they are released the limit must hold for all together:
 * the largest t such that t plus the number of taken slots from t on is within the limit. Whoever grants only slots below
 * t keeps it, whatever others who follow the same rule grant at the same time: taken slots from t on can only become fewer.
 */
export function grantable(limit: number, taken: Iterable<number>): number {
  const high = [...taken].sort((a, b) => b - a);
  let t = limit;
  let above = 0;
  // Walk down from the top: slots at or above t are counted in `above`.
  for (;;) {
    while (above < high.length && (high[above] as number) >= t) above++;
    if (t + above <= limit || t === 0) return Math.max(0, t);
    t = limit - above;
  }
}

/** Slots that may be claimed now, as a table that shows everything has them. */
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
 * How many permits are to be had: what is left of the limit after all that is held, also above it. What is kept counts: who
 * waits for it has it as soon as its keeping process hears of that.
 */
export function available(table: SlotTable, limit: number): number {
  return Math.max(0, limit - (table.taken.size - table.kept.size));
}
