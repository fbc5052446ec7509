import { SlotTable } from '../state/slot-table';
import type { Context } from '../store/context';
import { Keys, allOf, primitiveOf } from '../protocol/keys';
import { ALL_LATCHES, LatchTable, LatchKeys } from '../latch/latch-table';
import { removeEntries } from '../store/remove-entries';
import { KEYS_OF } from './status';
import type { Entry } from '../store/store';

/** An entry that no client of this version can read. */
export interface UnreadableEntry {
  readonly key: string;
  readonly reason: string;
  readonly revision: number;
  /** When the server stored it, in ms since 1970. */
  readonly writtenAt: number;
  /** Whether it was removed. False also if a client has written over it meanwhile. */
  readonly removed: boolean;
}

/** How many entries are removed at the same time. */
const AT_ONCE = 50;

/**
 * Finds the unreadable entries of the whole bucket, and removes them if requested, each under the revision that was read. An entry of a
 * newer version counts as unreadable, too.
 */
export async function repair(
  { store }: Context,
  { remove }: { remove: boolean },
): Promise<UnreadableEntry[]> {
  const found: { entry: Entry; reason: string }[] = [];
  for (const entry of await store.read([...Object.values(KEYS_OF).map(allOf), ALL_LATCHES])) {
    const reason = faultOf(entry);
    if (reason !== undefined) found.push({ entry, reason });
  }
  const removed = new Set<string>();
  let failure: Error | undefined;
  for (let i = 0; remove && failure === undefined && i < found.length; i += AT_ONCE) {
    const removal = await removeEntries(
      store,
      found.slice(i, i + AT_ONCE).map(({ entry }) => entry),
    );
    for (const { key } of removal.freed) removed.add(key);
    failure = removal.failure;
  }
  if (failure !== undefined) throw failure;
  return found.map(({ entry: { key, revision, writtenAt }, reason }) => ({
    key,
    reason,
    revision,
    writtenAt,
    removed: removed.has(key),
  }));
}

/** Why an entry can not be read; undefined if it can, or does not belong to a primitive. */
function faultOf(entry: Entry): string | undefined {
  const primitive = primitiveOf(entry.key);
  if (primitive === undefined || entry.value === null) return undefined;
  const { kind, name } = primitive;
  if (entry.key.startsWith('latch.')) {
    const table = new LatchTable(new LatchKeys(name));
    table.apply(entry, 0);
    return table.corrupt[0]?.[1];
  }
  const table = new SlotTable(new Keys(kind, name));
  table.apply(entry, 0);
  return table.corrupt.get(entry.key);
}
