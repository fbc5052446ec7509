import type { Keys } from './keys';
import type { Picture } from './picture';
import { type Hold, decodeHold } from './record';

/** What the entries say of one slot. */
export type SlotState =
  | { readonly state: 'free'; readonly slot: number; readonly expected: number }
  | { readonly state: 'held'; readonly slot: number; readonly hold: Hold }
  | { readonly state: 'corrupt'; readonly slot: number; readonly key: string; readonly reason: string };

/** A slot that may be claimed, and the revision to expect of it. */
export interface FreeSlot {
  readonly slot: number;
  readonly expected: number;
}

/** What the entries say of slot 0 to `limit` - 1. */
export function readSlots(picture: Picture, keys: Keys, limit: number, now: number): SlotState[] {
  return Array.from({ length: limit }, (_, slot): SlotState => {
    const key = keys.slot(slot);
    const known = picture.get(key);
    if (known === undefined || known.value === null) {
      return { state: 'free', slot, expected: picture.expectedIfFree(key, now) };
    }
    const decoded = decodeHold(known.value);
    return decoded.ok
      ? { state: 'held', slot, hold: decoded.record }
      : { state: 'corrupt', slot, key, reason: decoded.reason };
  });
}

/**
 * Decides what to claim now: which of the free slots, in groups of as many as each wanter takes.
 *
 * `wants` are the waiters of this process in the order in which they joined, all alike in what they would write, less
 * those for whom a claim is already under way. Claims go out for the first of them only as far as slots are free, so a
 * released slot costs each process at most one claim; and none overtakes one before it that wants more than there is.
 */
export function planClaims(
  free: readonly FreeSlot[],
  wants: readonly { readonly count: number }[],
): FreeSlot[][] {
  const claims: FreeSlot[][] = [];
  let used = 0;
  for (const { count } of wants) {
    if (used + count > free.length) break;
    claims.push(free.slice(used, used + count));
    used += count;
  }
  return claims;
}
