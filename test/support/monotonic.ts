/** Milliseconds on CLOCK_MONOTONIC: readings of all processes of one machine can be compared. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
