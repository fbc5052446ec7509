import type { AnyStatus } from '../schemas';
import { type Span, TIMELINE_MS, keyOf, withStatus } from '../timeline';
import type { BackendEvent, ChangeEvent, SnapshotEvent } from '../wire';

/** One primitive on the page. A new object whenever anything about it has changed. */
export interface Item {
  readonly key: string;
  readonly status: AnyStatus;
  readonly spans: readonly Span[];
  /** Nothing is stored of it any more; it is shown for as long as it is on the timeline. */
  readonly gone: boolean;
}

/** Whether what is shown is what there is: `refused` is for want of the right token. */
export type Link = 'connecting' | 'live' | 'lost' | 'refused';

/** All that the page shows. Changed by making a new one. */
export interface Model {
  readonly items: ReadonlyMap<string, Item>;
  readonly link: Link;
  readonly backend: BackendEvent;
  /** How far the sidecar's clock is ahead of ours, in ms. */
  readonly ahead: number;
  /** Since when what is shown may not be what there is, by our own clock; undefined while it is. */
  readonly staleSince: number | undefined;
}

export const EMPTY: Model = {
  items: new Map(),
  link: 'connecting',
  backend: { reachable: true },
  ahead: 0,
  staleSince: undefined,
};

export function withSnapshot(model: Model, { now, primitives, history }: SnapshotEvent): Model {
  const items = new Map<string, Item>();
  for (const status of primitives) {
    const key = keyOf(status);
    items.set(key, { key, status, spans: history[key] ?? [], gone: false });
  }
  for (const [key, spans] of Object.entries(history)) {
    if (!items.has(key)) items.set(key, { key, status: idle(key), spans, gone: true });
  }
  return {
    ...model,
    items: sorted(items),
    link: 'live',
    ahead: now - Date.now(),
    staleSince: staleSince(model, model.backend.reachable),
  };
}

export function withChange(model: Model, { now, changed, gone }: ChangeEvent): Model {
  const items = new Map(model.items);
  for (const status of changed) {
    const key = keyOf(status);
    items.set(key, { key, status, spans: withStatus(items.get(key)?.spans ?? [], status, now), gone: false });
  }
  for (const ref of gone) {
    const key = keyOf(ref);
    const known = items.get(key);
    if (known === undefined) continue;
    const spans = withStatus(known.spans, undefined, now);
    items.set(key, { key, status: idle(key, known.status), spans, gone: true });
  }
  for (const { key, gone: isGone, spans } of items.values()) {
    if (isGone && spans.every(({ to }) => to !== null && to < now - TIMELINE_MS)) items.delete(key);
  }
  const grown = items.size !== model.items.size || changed.some((status) => !model.items.has(keyOf(status)));
  return { ...model, items: grown ? sorted(items) : items, ahead: now - Date.now() };
}

/** What is shown of one that is not stored any more. */
function idle(key: string, last?: AnyStatus): AnyStatus {
  const [kind, ...name] = key.split('/');
  if (last !== undefined && last.kind !== 'latch') {
    const free = { ...last, holders: [], waiters: [], corrupt: [] };
    return 'available' in free ? { ...free, available: free.slots, kept: [] } : free;
  }
  const common = { name: name.join('/'), corrupt: [] };
  if (kind === 'latch') return { ...common, kind, count: 0, counted: [] };
  if (kind === 'read-write-lock') return { ...common, kind, holders: [], waiters: [] };
  return { ...common, kind: kind as 'mutex', slots: 1, available: 1, holders: [], waiters: [], kept: [] };
}

function sorted(items: ReadonlyMap<string, Item>): Map<string, Item> {
  const collator = new Intl.Collator('en', { numeric: true });
  return new Map(
    [...items].sort(
      ([, a], [, b]) => collator.compare(a.status.name, b.status.name) || (a.key < b.key ? -1 : 1),
    ),
  );
}

export function withBackend(model: Model, backend: BackendEvent): Model {
  return { ...model, backend, staleSince: staleSince(model, backend.reachable) };
}

export function withLink(model: Model, link: 'lost' | 'refused'): Model {
  // What is wrong with the server is not known any more.
  return { ...model, link, backend: EMPTY.backend, staleSince: staleSince(model, false) };
}

const staleSince = (model: Model, live: boolean): number | undefined =>
  live ? undefined : (model.staleSince ?? Date.now());
