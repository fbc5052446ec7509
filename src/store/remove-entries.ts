import type { Entry, Store } from './store';

/** An entry to remove, under a given revision. `ttl`: how long the entry, and all earlier entries of its key, may last, in ms. */
export type Removable = Pick<Entry, 'key' | 'revision' | 'value' | 'ttl'>;

/** The marker that a removal by this process left. */
export interface Removed {
  readonly key: string;
  readonly revision: number;
  /** How long the store keeps the marker, in ms. */
  readonly ttl: number;
}

/** Result of the removal of entries. */
export interface Removal {
  readonly freed: Removed[];
  /** Whether all entries were still at their revisions. */
  readonly all: boolean;
  /** Why the outcome of some removals is unknown; undefined: all are known. */
  readonly failure: Error | undefined;
}

/**
 * For how long anything that was ever written under a key may last in the store, in ms: its marker has to outlast that.
 * @param ttl of the last write
 * @param earlier reading of the clock by which all earlier writes have run out; undefined: none outlasts the last one
 */
export function lastsFor(
  { ttl, earlier = -Infinity }: { readonly ttl: number; readonly earlier?: number | undefined },
  now: number,
): number {
  return Math.max(ttl, earlier - now);
}

/** The ttl that an entry without one gets before it is removed, in ms. */
const LAST_TTL_MS = 2_000;

/**
 * Removes entries, each under its revision: an entry that another client has written since stays.
 *
 * Invariant: a removed entry never comes back. A killed server rebuilds a key from the entries that its files still have. It drops
 * an entry that has a later entry over it, or whose TTL is over, and takes every other entry for the last one (measured with
 * nats-server 2.15.1: a value with a TTL of 60 s under a marker of 1 s was back in 20 of 20 restarts). Not only the last entry can
 * come back: an earlier one with a longer TTL is back if the file with the later ones is gone by then (20 of 20). So a marker
 * stays for as long as any entry ever written under its key could have stayed. An entry without a TTL is first written over by
 * one with a TTL. If the process dies between these two writes, the second entry runs out by itself.
 */
export async function removeEntries(
  store: Store,
  entries: readonly Removable[],
  until?: number,
): Promise<Removal> {
  const freed: Removed[] = [];
  let all = true;
  let failure: Error | undefined;
  const remove = async (entry: Removable): Promise<void> => {
    try {
      const last = await withTtl(store, entry, until);
      const removed = last && (await removeLast(store, last, until));
      if (removed === undefined) all = false;
      else freed.push(removed);
    } catch (error) {
      failure ??= error as Error;
    }
  };
  await Promise.all(entries.map(remove));
  return { freed, all, failure };
}

/** The marker as an entry, which shows that its key holds no value. @param wallTime a reading of the wall clock */
export function markerEntry({ key, revision, ttl }: Removed, wallTime: number): Entry {
  return { key, revision, ttl, value: null, writtenAt: wallTime };
}

/** Gives the entry a TTL, so that it runs out by itself. Undefined if the entry has changed. */
async function withTtl(
  store: Store,
  { key, revision, value, ttl }: Removable,
  until: number | undefined,
): Promise<{ key: string; revision: number; ttl: number } | undefined> {
  if (ttl !== undefined) return { key, revision, ttl };
  const result = await store.commit([{ key, expected: revision, value: value ?? '', ttl: LAST_TTL_MS }], {
    until,
  });
  return result.committed ? { key, revision: result.revisions[0] as number, ttl: LAST_TTL_MS } : undefined;
}

async function removeLast(
  store: Store,
  { key, revision, ttl: lived }: { key: string; revision: number; ttl: number },
  until: number | undefined,
): Promise<Removed | undefined> {
  const ttl = store.markerTtl(lived);
  const result = await store.commit([{ key, expected: revision, value: null, ttl }], { until });
  return result.committed ? { key, revision: result.revisions[0] as number, ttl } : undefined;
}
