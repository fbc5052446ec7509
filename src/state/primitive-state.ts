import type { SlotTable } from './slot-table';
import type { Context } from '../store/context';
import type { Watcher } from './watcher';
import type { Keys } from '../protocol/keys';
import type { SlotLimit } from './limit';

/** The state of one primitive that all parts of its engine share: what is known of it, and the parts that keep it up to date. */
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
