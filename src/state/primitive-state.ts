import type { SlotTable } from './slot-table';
import type { Context } from '../store/context';
import type { Watcher } from './watcher';
import type { Keys } from '../protocol/keys';
import type { SlotLimit } from './limit';

/** One primitive as all parts of its engine see it: what is known of it, and by what means. */
export interface Primitive {
  readonly context: Context;
  readonly name: string;
  readonly keys: Keys;
  readonly table: SlotTable;
  readonly watcher: Watcher;
  readonly limit: SlotLimit;
  /** Whether the dispatcher was closed. */
  readonly isClosed: boolean;
}
