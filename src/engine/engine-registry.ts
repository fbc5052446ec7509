import type { Entry } from '../store/store';
import type { Context } from '../store/context';
import { Engine } from './engine';
import { Keys, limitsOf, primitiveOf } from '../protocol/keys';
import type { Memo } from '../state/memo';
import { IdleCache } from '../runtime/idle-cache';

/** How many unused primitives to keep ready. Of others only a {@link Memo} is kept. */
const READY_ENGINES = 500;
/** How many memos to keep; the one used longest ago is dropped first. */
const MEMOS = 100_000;

/** The engines of one dispatcher, one for each primitive that it uses. */
export class EngineRegistry {
  private readonly memos = new Map<string, Memo>();
  private readonly byPrefix = new IdleCache<Engine>(READY_ENGINES, (prefix, engine) =>
    this.keepMemo(prefix, engine),
  );
  private readonly stopResets: () => void;
  private stopLimits: (() => void) | undefined;

  constructor(private readonly context: Context) {
    this.stopResets = context.store.onReset(() => {
      for (const engine of this.byPrefix.all) engine.reset();
      for (const memo of this.memos.values()) memo.free = undefined;
      this.doubtMemos();
    });
  }

  /** The engine for a primitive. Ask for it again for each operation, since an idle engine may be put away. */
  get(keys: Keys, name: string): Engine {
    this.stopLimits ??= this.followLimits();
    return this.byPrefix.get(keys.prefix, () => this.make(keys, name));
  }

  has(engine: Engine): boolean {
    return this.byPrefix.find(engine.keys.prefix) === engine;
  }

  /** The entry in the form that status views show. */
  shown(entry: Entry, prefix: string): Entry {
    return this.byPrefix.find(prefix)?.shown(entry) ?? entry;
  }

  async close(): Promise<void> {
    this.memos.clear();
    await Promise.all(this.byPrefix.all.map((engine) => engine.close()));
    this.stopLimits?.();
    this.stopResets();
  }

  /** Limits change rarely and matter to every process that has ever used a primitive: one subscription covers all of them. */
  private followLimits(): () => void {
    return this.context.store.listen([limitsOf('sem')], {
      changed: (entry) => {
        const primitive = primitiveOf(entry.key);
        if (primitive === undefined) return;
        const { kind, prefix, name } = primitive;
        const ready = this.byPrefix.find(prefix) !== undefined;
        // Names that are removed by themselves are not worth an engine each.
        if (!ready && entry.value === null) return void this.memos.delete(prefix);
        if (ready || this.memos.has(prefix)) this.get(new Keys(kind, name), name).limitAnnounced(entry);
      },
      interrupted: () => {
        for (const engine of this.byPrefix.all) engine.limitUncertain();
        this.doubtMemos();
      },
    });
  }

  private make(keys: Keys, name: string): Engine {
    const memo = this.memos.get(keys.prefix);
    this.memos.delete(keys.prefix);
    return new Engine(this.context, name, keys, memo);
  }

  private keepMemo(prefix: string, engine: Engine): void {
    this.memos.set(prefix, engine.remember());
    if (this.memos.size <= MEMOS) return;
    for (const forgotten of this.memos.keys()) return void this.memos.delete(forgotten);
  }

  private doubtMemos(): void {
    for (const { limit } of this.memos.values()) if (limit !== undefined) limit.current = false;
  }
}
