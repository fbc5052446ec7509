import type { JSX } from 'preact';
import type { AnyStatus } from '../schemas';
import { readOnly } from './api';
import type { Item } from './model';
import { Timeline } from './timeline-view';
import { duration, hueOf, plural, ranges } from './words';

/** A hold that is about to be taken away. */
export interface Target {
  readonly status: AnyStatus;
  readonly permitId: string;
  readonly holder: string;
  readonly what: string;
}

type Locked = Exclude<AnyStatus, { kind: 'latch' }>;
type Holder = Locked['holders'][number];

/** Left for renewal before it is worth a look, in ms. */
const SOON_MS = 5_000;

/** All that is known of one primitive. `now` is by the sidecar's clock. */
export function Details({
  item,
  now,
  release,
}: {
  item: Item;
  now: number;
  release: (target: Target) => void;
}): JSX.Element {
  const { status, spans } = item;
  return (
    <div class="details">
      {status.corrupt.length > 0 && <Corrupt status={status} />}
      {status.kind === 'latch' ? (
        <Counted status={status} />
      ) : (
        <>
          <div class="columns">
            <Holders status={status} now={now} release={release} />
            <Waiters status={status} now={now} />
          </div>
          <Timeline
            spans={spans}
            now={now}
            lanes={status.kind === 'read-write-lock' ? 1 : status.slots}
            noun={status.kind === 'read-write-lock' ? 'hold' : 'slot'}
          />
        </>
      )}
    </div>
  );
}

function Holders({
  status,
  now,
  release,
}: {
  status: Locked;
  now: number;
  release: (target: Target) => void;
}): JSX.Element {
  return (
    <section>
      <h3>Holders</h3>
      {status.holders.length === 0 && <p class="none">Nobody holds it.</p>}
      <ul class="people">
        {status.holders.map((holder) => (
          <li key={holder.permitId}>
            <span class="dot" style={{ '--hue': hueOf(holder.holder) }} />
            <Who name={holder.holder} note={slotsOf(holder)} metadata={holder.metadata} />
            <Time label="held for" ms={now - Date.parse(holder.since)} />
            <Time label="left" ms={Date.parse(holder.expiresAt) - now} soon={SOON_MS} />
            {!readOnly && (
              <button
                class="quiet"
                onClick={() =>
                  release({ status, permitId: holder.permitId, holder: holder.holder, what: whatOf(holder) })
                }
              >
                Release…
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Waiters({ status, now }: { status: Locked; now: number }): JSX.Element {
  return (
    <section>
      <h3>
        Queue <small>{status.waiters.length > 0 && status.waiters.length}</small>
      </h3>
      {status.waiters.length === 0 && <p class="none">Nobody queues.</p>}
      <ol class="people">
        {status.waiters.map((waiter, place) => (
          <li key={`${waiter.holder} ${waiter.since}`}>
            <span class="place">{place + 1}</span>
            <Who
              name={waiter.holder}
              note={
                'count' in waiter
                  ? waiter.count > 1
                    ? `wants ${waiter.count} slots`
                    : ''
                  : `to ${waiter.mode}`
              }
              metadata={waiter.metadata}
            />
            <Time label="waiting" ms={now - Date.parse(waiter.since)} />
          </li>
        ))}
      </ol>
    </section>
  );
}

function Who({
  name,
  note,
  metadata,
}: {
  name: string;
  note: string;
  metadata: Record<string, string>;
}): JSX.Element {
  const tags = Object.entries(metadata);
  return (
    <span class="who">
      <b title={name}>{name}</b>
      <span class="note">
        {note}
        {tags.map(([key, value]) => (
          <span key={key} class="tag" title={`${key}: ${value}`}>{`${key}: ${value}`}</span>
        ))}
      </span>
    </span>
  );
}

function Time({ label, ms, soon }: { label: string; ms: number; soon?: number }): JSX.Element {
  return (
    <span class={soon !== undefined && ms < soon ? 'time soon' : 'time'}>
      <b>{duration(ms)}</b>
      <small>{label}</small>
    </span>
  );
}

function Counted({ status }: { status: Extract<AnyStatus, { kind: 'latch' }> }): JSX.Element {
  return (
    <section>
      <h3>Counted</h3>
      {status.counted.length === 0 && (
        <p class="none">{status.count === 0 ? 'It is open.' : 'Nobody has counted yet.'}</p>
      )}
      <ul class="people">
        {status.counted.map(({ holder, count }, index) => (
          <li key={index}>
            <span class="dot" style={{ '--hue': hueOf(holder) }} />
            <Who name={holder} note={plural(count, 'count')} metadata={{}} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Corrupt({ status }: { status: AnyStatus }): JSX.Element {
  return (
    <div class="notice bad">
      <b>{plural(status.corrupt.length, 'entry', 'entries')} can not be read and count as taken</b>
      <ul>
        {status.corrupt.map(({ key, reason }) => (
          <li key={key}>
            <code>{key}</code>: {reason}
          </li>
        ))}
      </ul>
    </div>
  );
}

function whatOf(holder: Holder): string {
  return 'mode' in holder ? `its permit to ${holder.mode}` : slotsOf(holder);
}

function slotsOf(holder: Holder): string {
  if ('mode' in holder) return holder.mode === 'write' ? 'writing' : 'reading';
  return `${holder.slots.length === 1 ? 'slot' : 'slots'} ${ranges(holder.slots)}`;
}
