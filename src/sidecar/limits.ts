import { MAX_TIMER_MS } from '../runtime/clock';
import { checkKeys, optionKeys } from '../api/option-keys';
import { Problem } from './problem';

/**
 * The most of everything that a sidecar takes, so that no caller makes it run out of memory or keeps it from answering others. A
 * caller that is refused gets a problem document: 503 `SIDECAR_FULL`, or 429 `TOO_MANY_STREAMS`, with `Retry-After`.
 * Each is a whole number, 1 or more.
 */
export interface SidecarLimits {
  /** Open connections. Some more are let in for `/healthz` and `/readyz` alone. Default 2,000. */
  connections?: number;
  /** Event streams. Default 500. */
  streams?: number;
  /** Event streams of one remote address. Default: as {@link streams}, since all callers on loopback have one address. */
  streamsPerAddress?: number;
  /** Bytes that wait in memory for readers of all event streams together. Beyond that the slowest readers lose their stream. Default 32 MiB. */
  streamBytes?: number;
  /** Time without progress after which a reader loses its event stream, in ms. Default 10,000. */
  streamStall?: number;
  /** Open sessions. Default 5,000. */
  sessions?: number;
  /** Permits that are held, together with acquires under way. Default 10,000. */
  permits?: number;
  /** Acquires under way. Default 1,000. */
  waiters?: number;
  /** Names of primitives that have time series of their own in `/metrics`. Others are counted under `(other)`. Default 100. */
  metricNames?: number;
  /** Bytes of the body of a request. Default 32 KiB. */
  bodyBytes?: number;
  /** Bytes of the headers of a request. Default 16 KiB. */
  headerBytes?: number;
  /** Time that the headers of a request may take to come in, in ms. Also bounds a new connection that sends nothing. Default 10,000. */
  headersTimeout?: number;
  /** Time that a whole request may take to come in, in ms. It does not bound the answer. Default 15,000. */
  requestTimeout?: number;
  /** Time after which a connection without a request is closed, in ms. Default 60,000. */
  idleTimeout?: number;
}

export type Limits = Readonly<Required<SidecarLimits>>;

const DEFAULTS: Limits = {
  connections: 2_000,
  streams: 500,
  streamsPerAddress: 500,
  streamBytes: 32 * 1024 * 1024,
  streamStall: 10_000,
  sessions: 5_000,
  permits: 10_000,
  waiters: 1_000,
  metricNames: 100,
  bodyBytes: 32 * 1024,
  headerBytes: 16 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  idleTimeout: 60_000,
};
const KEYS = optionKeys<SidecarLimits>('the limits of startSidecar', {
  connections: true,
  streams: true,
  streamsPerAddress: true,
  streamBytes: true,
  streamStall: true,
  sessions: true,
  permits: true,
  waiters: true,
  metricNames: true,
  bodyBytes: true,
  headerBytes: true,
  headersTimeout: true,
  requestTimeout: true,
  idleTimeout: true,
});

/** @throws RangeError, TypeError that name the limit */
export function limitsOf(given: SidecarLimits = {}): Limits {
  checkKeys(given, KEYS);
  const set = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as SidecarLimits;
  for (const [name, value] of Object.entries(set) as [string, unknown][]) {
    if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > MAX_TIMER_MS) {
      throw new RangeError(
        `limits.${name} must be a whole number from 1 to ${MAX_TIMER_MS}, got ${String(value)}`,
      );
    }
  }
  const streams = set.streams ?? DEFAULTS.streams;
  const all = { ...DEFAULTS, streamsPerAddress: streams, ...set };
  if (all.headersTimeout > all.requestTimeout) {
    throw new RangeError(
      `limits.headersTimeout must be at most limits.requestTimeout (${all.requestTimeout} ms), got ${all.headersTimeout}`,
    );
  }
  return all;
}

/** @throws Problem if there are as many as may be */
export function checkRoom(
  what: 'event streams' | 'sessions' | 'permits' | 'waiters',
  now: number,
  most: number,
): void {
  if (now < most) return;
  throw full(`the sidecar has ${most} ${what}, the most that it takes`);
}

export const full = (detail: string): Problem =>
  new Problem(503, 'SIDECAR_FULL', detail, [], { 'retry-after': '5' });
