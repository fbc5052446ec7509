import type { FreeSlot } from '../state/grantable';

/**
 * Decides what to claim now: which of the free slots, in groups of as many as each waiter takes.
 *
 * `wants` are the waiters of this process in the order in which they joined, all alike in what they would write, less those for which a
 * claim is already under way. Claims go out for the first of them only as far as slots are free, so a released slot costs each process at
 * most one claim. No claim overtakes a waiter before it that wants more slots than are free.
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

/**
 * How many claims to read one process has under way at once: enough to make use of a slow connection to the server. With three servers only
 * one write at a time may depend on the same key, and each of the others is sent again some milliseconds later.
 */
export const MAX_READS_UNDERWAY = 8;

/** As {@link planClaims}, for readers: each is claimed for under the same free place of the writer. */
export function planReads(
  free: readonly FreeSlot[],
  wants: readonly unknown[],
  underway: number,
): FreeSlot[][] {
  const [open] = free;
  if (open === undefined) return [];
  return wants.slice(0, Math.max(0, MAX_READS_UNDERWAY - underway)).map(() => [open]);
}
