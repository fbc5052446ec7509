import type { JSX } from 'preact';
import { type Span, TIMELINE_MS } from '../timeline';
import { duration, hueOf } from './words';

/** Most lanes to draw; a strip of many slots keeps those that were used. */
const MAX_LANES = 12;
const LANE = 10;
const MINUTES = [4, 3, 2, 1];

/**
 * Who held which slot when, in the last minutes. Spans stay where they are drawn, on an axis of seconds; only the window
 * moves, so the passing of time costs one attribute.
 */
export function Timeline({
  spans,
  now,
  lanes,
  noun,
}: {
  spans: readonly Span[];
  now: number;
  lanes: number;
  noun: string;
}): JSX.Element {
  const from = now - TIMELINE_MS;
  const recent = spans.filter(({ to }) => to === null || to > from);
  const used = [...new Set(recent.map(({ lane }) => lane))];
  const all = Array.from({ length: Math.min(lanes, MAX_LANES) }, (_, lane) => lane);
  const shown = lanes <= MAX_LANES ? [...new Set([...all, ...used])] : used;
  const drawn = shown.sort((a, b) => a - b).slice(0, MAX_LANES);
  const rowOf = new Map(drawn.map((lane, row) => [lane, row]));
  const epoch = Math.floor(from / TIMELINE_MS) * TIMELINE_MS;
  const x = (time: number): number => (time - epoch) / 1000;
  const height = Math.max(1, drawn.length) * LANE;
  return (
    <figure class="timeline">
      <figcaption>
        <span>Last 5 minutes</span>
        {shown.length > drawn.length && <small>{`${shown.length - drawn.length} more used`}</small>}
      </figcaption>
      <div class="plot" style={{ '--lanes': Math.max(1, drawn.length) }}>
        <div class="lanes" aria-hidden="true">
          {drawn.map((lane) => (
            <span key={lane}>{`${noun} ${lane}`}</span>
          ))}
        </div>
        <svg
          viewBox={`${x(from)} 0 ${TIMELINE_MS / 1000} ${height}`}
          preserveAspectRatio="none"
          role="img"
          aria-label={`Holds of the last 5 minutes: ${recent.length}`}
        >
          {drawn.map((lane, row) => (
            <rect
              key={`lane ${lane}`}
              class="lane"
              x={x(from) - 400}
              y={row * LANE + 1}
              width="1200"
              height={LANE - 2}
            />
          ))}
          {recent.map((span) => {
            const row = rowOf.get(span.lane);
            if (row === undefined) return null;
            const left = Math.max(span.from, from - 1000);
            const length = (span.to ?? now) - span.from;
            return (
              <rect
                key={`${span.lane} ${span.permitId} ${span.from}`}
                class="span"
                style={{ '--hue': hueOf(span.holder) }}
                x={x(left)}
                y={row * LANE + 1}
                // What is still held goes on to the edge, which cuts it off.
                width={span.to === null ? 600 : Math.max(0.4, (span.to - left) / 1000)}
                height={LANE - 2}
              >
                <title>{`${span.holder}, ${duration(length)}`}</title>
              </rect>
            );
          })}
        </svg>
        <div class="axis" aria-hidden="true">
          {MINUTES.map((minutes) => (
            <span key={minutes} style={{ left: `${100 - minutes * 20}%` }}>{`−${minutes} min`}</span>
          ))}
          <span class="end">now</span>
        </div>
      </div>
    </figure>
  );
}
