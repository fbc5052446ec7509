/**
 * Fencing tokens: the revision that a permit was granted under, and the number of the grant under that revision. A retained slot
 * is granted again without a write, so several grants share a revision.
 *
 * Revisions count from the microsecond in which the bucket was made, so their tokens fit in 63 bits until the year 2255.
 */

/** Grants under one revision: one by the write itself, the others of the retained slot. */
const GRANTS = 1_024;

/** The last grant that a revision has room for. */
export const LAST_USE = GRANTS - 1;

/** @param use 0 for the grant that wrote the revision, 1 and up for later ones */
export function fencingToken(revision: number, use = 0): bigint {
  return BigInt(revision) * BigInt(GRANTS) + BigInt(use);
}
