import type { Board } from './board';
import type { Context } from './context';
import type { Feed } from './feed';
import type { Keys } from './keys';
import type { SlotLimit } from './limit';

/** One primitive as all parts of its engine see it: what is known of it, and by what means. */
export interface Primitive {
  readonly context: Context;
  readonly name: string;
  readonly keys: Keys;
  readonly board: Board;
  readonly feed: Feed;
  readonly limit: SlotLimit;
  /** Whether the dispatcher was closed. */
  readonly isClosed: boolean;
}
