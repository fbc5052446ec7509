import { parseTime } from '../runtime/clock';
import type { AnyStatus } from './schemas';

/**
 * Who held what when, gathered from one status after the other. Used by the sidecar, for pages that are opened later, and by
 * the page itself. A hold that began and ended between two looks (0.1 s) does not show.
 */

/** One hold, on one lane. Times are ms since 1970. */
export interface Span {
  /** Number of the slot; of those who read under a read-write lock: any lane that was free. */
  readonly lane: number;
  readonly permitId: string;
  readonly holder: string;
  readonly from: number;
  /** null: it is still held. */
  readonly to: number | null;
}

/** How far back it goes, in ms. */
export const TIMELINE_MS = 5 * 60_000;
/** Most spans of one primitive: a page shows no more than that many pixels. */
const MAX_SPANS = 500;

export const keyOf = ({ kind, name }: { readonly kind: string; readonly name: string }): string =>
  `${kind}/${name}`;

/** The spans after a status was seen at `now`. The given ones stay as they are. `undefined`: nothing is stored any more. */
export function withStatus(
  spans: readonly Span[],
  status: AnyStatus | undefined,
  now: number,
): readonly Span[] {
  const held = heldLanes(status, spans);
  if (held.size === 0 && spans.length === 0) return spans;
  const recent = spans.filter(({ to }) => to === null || to > now - TIMELINE_MS);
  const next = recent.map((span) => {
    if (span.to !== null) return span;
    const id = laneId(span.lane, span.permitId);
    return held.delete(id) ? span : { ...span, to: now };
  });
  for (const { since, ...span } of held.values()) {
    // What was held before we looked for the first time began when it says so; otherwise it began just now, by our own clock.
    const from = spans.length === 0 ? Math.min(since, now) : now;
    next.push({ ...span, from, to: null });
  }
  return next.length > MAX_SPANS ? next.slice(-MAX_SPANS) : next;
}

interface HeldLane {
  readonly lane: number;
  readonly permitId: string;
  readonly holder: string;
  readonly since: number;
}

function heldLanes(status: AnyStatus | undefined, spans: readonly Span[]): Map<string, HeldLane> {
  const lanes = new Map<string, HeldLane>();
  if (status === undefined || status.kind === 'latch') return lanes;
  const laneOf = new Map(spans.flatMap(({ permitId, lane, to }) => (to === null ? [[permitId, lane]] : [])));
  const used = new Set(laneOf.values());
  for (const holder of status.holders) {
    const { permitId, holder: who } = holder;
    const since = parseTime(holder.since);
    const own = 'slots' in holder ? holder.slots : [laneOf.get(permitId) ?? firstFree(used)];
    for (const lane of own) {
      used.add(lane);
      lanes.set(laneId(lane, permitId), { lane, permitId, holder: who, since });
    }
  }
  return lanes;
}

function firstFree(used: ReadonlySet<number>): number {
  let lane = 0;
  while (used.has(lane)) lane++;
  return lane;
}

const laneId = (lane: number, permitId: string): string => `${lane} ${permitId}`;
