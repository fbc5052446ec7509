import type { JSX } from 'preact';
import { memo } from 'preact/compat';
import { useRef } from 'preact/hooks';
import { Details, type Target } from './details';
import { useNow, useSight } from './hooks';
import type { Item } from './model';
import { Strip } from './strip';
import { KIND_NAME, summary, waitersOf } from './words';

interface RowProps {
  readonly item: Item;
  readonly open: boolean;
  /** How far the sidecar's clock is ahead, in ms. */
  readonly ahead: number;
  /** When time stopped, since nobody knows what has become of it; undefined while it goes on. */
  readonly frozenAt: number | undefined;
  toggle: (key: string) => void;
  release: (target: Target) => void;
}

/** One primitive. Drawn anew only when it has changed; its details only while it is on the screen. */
export const Row = memo(function Row({
  item,
  open,
  ahead,
  frozenAt,
  toggle,
  release,
}: RowProps): JSX.Element {
  const element = useRef<HTMLElement>(null);
  const { visible, height } = useSight(element, open);
  const ticking = useNow(visible && frozenAt === undefined);
  const now = (frozenAt ?? ticking) + ahead;
  const { key, status, gone } = item;
  const waiting = waitersOf(status);
  // Out of sight it keeps its place with nothing in it.
  const placeholder = open && !visible && height > 0 ? { minHeight: `${height}px` } : undefined;
  return (
    <article ref={element} class={gone ? 'row gone' : 'row'} data-key={key} style={placeholder}>
      <button class="head" aria-expanded={open} onClick={() => toggle(key)}>
        <span class="chevron" aria-hidden="true" />
        <span class="title">
          <b title={status.name}>{status.name}</b>
          <small>{KIND_NAME[status.kind]}</small>
        </span>
        <Strip status={status} />
        <span class={status.corrupt.length > 0 ? 'figures bad' : 'figures'}>
          <span class="held-count">{summary(status)}</span>
          {waiting > 0 && <span class="waiting">{`${waiting} waiting`}</span>}
        </span>
      </button>
      {open && visible && <Details item={item} now={now} release={release} />}
    </article>
  );
}, sameRow);

function sameRow(a: RowProps, b: RowProps): boolean {
  // The clocks drift by ms from one event to the next; nobody sees that.
  return (
    a.item === b.item && a.open === b.open && a.frozenAt === b.frozenAt && Math.abs(a.ahead - b.ahead) < 500
  );
}
