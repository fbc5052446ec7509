/** Fencing tokens as docs/protocol.md defines them, so as to share no mistake with the library. */

const GRANTS = 1_024n;

export function fencingToken(revision: number, use = 0): bigint {
  return BigInt(revision) * GRANTS + BigInt(use);
}

/** The revision that a permit was granted under. */
export function revisionOf(token: bigint | string): number {
  return Number(BigInt(token) / GRANTS);
}

/** Which grant under that revision it was. */
export function useOf(token: bigint | string): number {
  return Number(BigInt(token) % GRANTS);
}
