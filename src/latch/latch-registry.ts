import type { Context } from '../store/context';
import { LatchTable, ALL_LATCHES, LatchKeys } from './latch-table';
import { LatchEngine } from './latch-engine';
import { primitiveOf } from '../protocol/keys';
import { IdleCache } from '../runtime/idle-cache';

/** How many unused latches to remember. */
const READY_LATCHES = 1_000;

/** The latches of one dispatcher. */
export class LatchRegistry {
  private readonly byPrefix = new IdleCache<LatchEngine>(READY_LATCHES);
  private readonly stopResets: () => void;

  constructor(private readonly context: Context) {
    this.stopResets = context.store.onReset(() => {
      for (const engine of this.byPrefix.all) engine.reset();
    });
  }

  /** The engine for a latch. Ask for it again for each operation, since an idle engine may be forgotten. */
  get(name: string): LatchEngine {
    const keys = new LatchKeys(name);
    return this.byPrefix.get(keys.prefix, () => new LatchEngine(this.context, name, keys));
  }

  /** All that are stored in the bucket. */
  async list(): Promise<{ name: string; table: LatchTable }[]> {
    const { clock, store } = this.context;
    const found = new Map<string, { name: string; table: LatchTable }>();
    const askedAt = clock.now();
    for (const entry of await store.read([ALL_LATCHES])) {
      const primitive = primitiveOf(entry.key);
      if (primitive === undefined) continue;
      const { prefix, name } = primitive;
      const known = found.get(prefix) ?? { name, table: new LatchTable(new LatchKeys(name)) };
      found.set(prefix, known);
      known.table.apply(entry, askedAt);
    }
    return [...found.values()].filter(({ table }) => table.round !== undefined);
  }

  close(): void {
    for (const engine of this.byPrefix.all) engine.close();
    this.stopResets();
  }
}
