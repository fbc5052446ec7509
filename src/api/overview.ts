import { SlotTable } from '../state/slot-table';
import type { Context } from '../store/context';
import { Watcher } from '../state/watcher';
import { Keys, type Kind, allOf, primitiveOf } from '../protocol/keys';
import { ALL_LATCHES, LatchTable, LatchKeys } from '../latch/latch-table';
import { type Known, EntryCache } from '../state/entry-cache';
import type { Entry } from '../store/store';
import {
  KEYS_OF,
  KIND_OF,
  type LatchStatus,
  type ReadWriteLockStatus,
  type SlotStatus,
  latchStatusOf,
  readWriteStatusOf,
  statusOf,
} from './status';

/** A primitive at one moment, of whatever kind. */
export type PrimitiveStatus = SlotStatus | ReadWriteLockStatus | LatchStatus;

/** What has changed since the last call. */
export interface OverviewChange {
  /** Primitives that are new or changed. */
  readonly changed: readonly PrimitiveStatus[];
  /** Primitives of which nothing is stored any more: no limit, no holder, no waiter in the queue. */
  readonly gone: readonly { readonly kind: PrimitiveStatus['kind']; readonly name: string }[];
}

export interface OverviewOwner {
  /** There is something to {@link Overview.take}. */
  changed(): void;
  /** It can not be kept up to date, for a reason that waiting does not remove. */
  failed(error: Error): void;
}

/** A read of the whole bucket costs more than one of a single primitive. */
const SAFETY_READ_MS = 30_000;

/** One primitive in the overview. */
interface Shelf {
  readonly kind: PrimitiveStatus['kind'];
  readonly name: string;
  readonly exists: boolean;
  /** Its known keys, removal markers included: a late announcement must not bring back what was removed since. */
  readonly keys: Set<string>;
  apply(known: Known): void;
  forget(key: string): void;
  status(): PrimitiveStatus;
}

/** Everything in the bucket, kept up to date by one watcher for all primitives together. */
export class Overview {
  private readonly shelves = new Map<string, Shelf>();
  private readonly touched = new Set<string>();
  /** Prefixes of the primitives that were last reported as existing. */
  private readonly shown = new Set<string>();
  private readonly picture = new EntryCache((key, known) => this.reread(key, known));
  private readonly feed: Watcher;
  private readonly stopResets: () => void;

  constructor(context: Context, owner: OverviewOwner) {
    const { clock, counts, store } = context;
    const patterns = [...Object.values(KEYS_OF).map(allOf), ALL_LATCHES];
    const news = (entry?: Entry): void => {
      // The table has become complete, possibly with nothing in it; or one entry was announced.
      if (this.feed.live && (entry === undefined || this.touched.size > 0)) owner.changed();
    };
    this.feed = new Watcher(
      store,
      clock,
      this.picture,
      patterns,
      { changed: news, confirmed: () => undefined, failed: (error) => owner.failed(error) },
      counts,
      SAFETY_READ_MS,
    );
    this.stopResets = store.onReset(() => this.picture.clear());
    this.feed.watch(true);
    this.feed.start();
  }

  /** Whether it shows everything. */
  get live(): boolean {
    return this.feed.live;
  }

  /** All that exist. */
  all(): PrimitiveStatus[] {
    return [...this.shelves.values()].filter(({ exists }) => exists).map((shelf) => shelf.status());
  }

  /** What has changed since the last call; nothing while it does not show everything. */
  take(): OverviewChange {
    const changed: PrimitiveStatus[] = [];
    const gone: Shelf[] = [];
    if (!this.live) return { changed, gone };
    for (const prefix of this.touched) {
      const shelf = this.shelves.get(prefix);
      if (shelf === undefined) continue;
      if (shelf.exists) {
        this.shown.add(prefix);
        changed.push(shelf.status());
      } else if (this.shown.delete(prefix)) {
        gone.push(shelf);
      }
      if (shelf.keys.size === 0) this.shelves.delete(prefix);
    }
    this.touched.clear();
    return { changed, gone: gone.map(({ kind, name }) => ({ kind, name })) };
  }

  stop(): void {
    this.feed.stop();
    this.stopResets();
  }

  private reread(key: string, known: Known | undefined): void {
    const primitive = primitiveOf(key);
    if (primitive === undefined) return;
    const { kind, prefix, name } = primitive;
    const shelf = this.shelves.get(prefix) ?? shelfFor(kind, name);
    this.shelves.set(prefix, shelf);
    this.touched.add(prefix);
    if (known === undefined) {
      shelf.keys.delete(key);
      shelf.forget(key);
    } else {
      shelf.keys.add(key);
      shelf.apply(known);
    }
  }
}

function shelfFor(kind: Kind | 'latch', name: string): Shelf {
  return kind === 'latch' ? latchShelf(name) : slotShelf(kind, name);
}

function slotShelf(keysKind: Kind, name: string): Shelf {
  const kind = KIND_OF[keysKind];
  const table = new SlotTable(new Keys(keysKind, name));
  return {
    kind,
    name,
    keys: new Set(),
    get exists() {
      return table.exists;
    },
    apply: (known) => void table.apply(known, known.heardAt),
    forget: (key) => table.entries.forget(key),
    status: () =>
      kind === 'read-write-lock' ? readWriteStatusOf(name, table) : statusOf(kind, name, table, 1),
  };
}

function latchShelf(name: string): Shelf {
  const table = new LatchTable(new LatchKeys(name));
  return {
    kind: 'latch',
    name,
    keys: new Set(),
    get exists() {
      return table.round !== undefined;
    },
    apply: (known) => table.apply(known, known.heardAt),
    forget: (key) => table.picture.forget(key),
    status: () => latchStatusOf(name, table, undefined),
  };
}
