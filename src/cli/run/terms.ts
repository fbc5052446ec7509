import { UsageError } from '../exit-codes';
import { formatDuration } from '../durations';

/** Under which times a command runs, in ms. */
export interface Terms {
  readonly ttl: number;
  /** Between SIGTERM and SIGKILL. */
  readonly grace: number;
  /** Before the end of its lease the permit counts as lost: time enough for both signals. */
  readonly safetyMargin: number;
  /** After that moment the keeper acts by itself, should `run` not have done so. */
  readonly slack: number;
}

const MAX_DEFAULT_GRACE_MS = 5_000;
const DEFAULT_GRACE_SHARE = 1 / 4;
/** Besides the grace: late timers, the time SIGKILL takes, and what the library's own margin is for. */
const RESERVE_SHARE = 0.05;
/** A busy machine is late by as much whatever the ttl is; of a short ttl no more than a share can be spared. */
const LATE_MS = 1_000;
const MAX_LATE_SHARE = 0.2;
/** What the library leaves of the ttl for renewals. */
const MAX_MARGIN_SHARE = 1 / 2;

/**
 * A lost permit is noticed `safetyMargin` before the server can give its slots away; SIGTERM goes out then, SIGKILL after `grace`.
 * So the margin has to hold the grace and a reserve, and the ttl has to hold twice the margin, or renewals would come too late.
 * @throws UsageError if the grace is too long for the ttl
 */
export function termsOf(
  ttl: number,
  grace = Math.min(MAX_DEFAULT_GRACE_MS, ttl * DEFAULT_GRACE_SHARE),
): Terms {
  const reserve = Math.max(ttl * RESERVE_SHARE, Math.min(LATE_MS, ttl * MAX_LATE_SHARE));
  const safetyMargin = grace + reserve;
  if (safetyMargin > ttl * MAX_MARGIN_SHARE) {
    const least = leastTtl(grace);
    throw new UsageError(
      `--grace ${formatDuration(grace)} is too long for --ttl ${formatDuration(ttl)}: ` +
        `the command has to be gone before the ttl ends. It takes a ttl of at least ${least} ms`,
    );
  }
  return { ttl, grace, safetyMargin, slack: reserve / 2 };
}

/** The ttl of which half is just the grace and its reserve. */
function leastTtl(grace: number): number {
  const short = grace / (MAX_MARGIN_SHARE - MAX_LATE_SHARE);
  const middling = (grace + LATE_MS) / MAX_MARGIN_SHARE;
  const long = grace / (MAX_MARGIN_SHARE - RESERVE_SHARE);
  return Math.ceil(Math.max(long, Math.min(short, middling)));
}
