import type { FreeSlot } from '../state/grantable';

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

/**
 * How many claims to read one process has under way at once: enough to make use of the way to a server that is far. With three
 * servers only one write at a time may depend on the same key, and each of the others is sent again some milliseconds later.
 */
export const MAX_READS_UNDERWAY = 8;

/** As {@link planClaims}, for those who read: one after another is claimed for under the same free place of the writer. */
export function planReads(
  free: readonly FreeSlot[],
  wants: readonly unknown[],
  underway: number,
): FreeSlot[][] {
  const [open] = free;
  if (open === undefined) return [];
  return wants.slice(0, Math.max(0, MAX_READS_UNDERWAY - underway)).map(() => [open]);
}
