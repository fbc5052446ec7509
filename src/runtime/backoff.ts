/**
 * Pauses between attempts: exponential from `first` to `ceiling` milliseconds with equal jitter (half of the pause is fixed, half is
 * random), so that clients that failed together do not try again together.
 */
export function* backoff(first: number, ceiling: number): Generator<number, never> {
  for (let width = first; ; width = Math.min(width * 2, ceiling)) {
    yield width / 2 + (Math.random() * width) / 2;
  }
}

/** `ms` spread evenly over plus or minus `share` of itself. */
export function jittered(ms: number, share: number): number {
  return ms * (1 - share + 2 * share * Math.random());
}
