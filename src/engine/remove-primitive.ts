import type { SlotTable } from '../state/slot-table';
import { isoTime } from '../runtime/clock';
import type { Primitive } from '../state/primitive-state';
import { encodeRecord } from '../protocol/records';
import { inUse, stillInUse } from '../state/refusals';
import { removeEntries } from '../store/remove-entries';

/** How long the notice of a removal stands, in ms: by then all listeners have received it. */
export const REMOVAL_NOTICE_TTL_MS = 2_000;
/** Holders may renew while their holds are being removed: it may need more than one look. */
const MAX_LOOKS = 20;
const REMOVAL_WAIT_MS = 10_000;

/** What a removal needs of the engine of the primitive. */
export interface RemovablePrimitive extends Primitive {
  /** A table that shows everything as it is at the time of the call. */
  look(): Promise<SlotTable>;
}

/**
 * Removes all entries of a primitive. Resolves with whether there were any.
 *
 * Invariants:
 * - Without `force` it begins only if nothing is held or waited for by then. A permit that is granted after that stays: the name is used
 *   anew. There are at most N holds all the same: the process that stores a limit next counts existing holds under it.
 * - The notice is announced before anything is gone, so waiters and holders know why.
 * - A new use of the name has larger fencing tokens, since revisions of the bucket only grow.
 */
export async function removePrimitive(primitive: RemovablePrimitive, force: boolean): Promise<boolean> {
  const { context, keys, name } = primitive;
  const { clock, store } = context;
  let found = false;
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const table = await primitive.look();
    const entries = [...table.entries.entries()]
      .filter(({ key, value }) => value !== null && key !== keys.removed)
      .map((entry) => primitive.table.entries.removable(entry, clock.now()));
    if (entries.length === 0) return found;
    if (!found) {
      if (!force) refuseIfUsed(name, table);
      await announce(primitive, table, force);
    }
    found = true;
    const { failure } = await removeEntries(store, entries, clock.now() + REMOVAL_WAIT_MS);
    if (failure !== undefined) throw failure;
    // Entries that were not removed by force may be in use anew.
    if (!force) return found;
  }
  throw stillInUse(name);
}

function refuseIfUsed(name: string, table: SlotTable): void {
  const held = table.taken.size + table.readers.size - table.kept.size;
  const waiting = table.queue.length;
  if (held + waiting > 0) throw inUse(name, held, waiting);
}

async function announce(
  { context, keys }: RemovablePrimitive,
  table: SlotTable,
  force: boolean,
): Promise<void> {
  const { clock, holder, store } = context;
  const key = keys.removed;
  const ttl = REMOVAL_NOTICE_TTL_MS;
  const expected = table.entries.get(key)?.revision ?? 0;
  const value = encodeRecord({ holder, since: isoTime(clock.wallTime()), ttl, force });
  // If it is refused, another process removes the primitive too, and has announced it.
  await store.commit([{ key, expected, value, ttl }], { until: clock.now() + REMOVAL_WAIT_MS });
}
