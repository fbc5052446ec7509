import type { Context } from './context';
import { Engine } from './engine';
import { type Keys, limitsOf, primitiveOf } from './keys';

/** How many primitives to remember that nobody uses at the moment; those used longest ago are forgotten first. */
const REMEMBERED_ENGINES = 20_000;

/** The engines of one dispatcher, one for each primitive that it uses. */
export class Engines {
  private readonly byPrefix = new Map<string, Engine>();
  private readonly stopResets: () => void;
  private stopLimits: (() => void) | undefined;

  constructor(private readonly context: Context) {
    this.stopResets = context.store.onReset(() => {
      for (const engine of this.byPrefix.values()) engine.reset();
    });
  }

  /** The engine for a primitive: to be asked for again for each operation, since one that is idle may be forgotten. */
  get(keys: Keys, name: string): Engine {
    this.stopLimits ??= this.followLimits();
    const engine = this.byPrefix.get(keys.prefix) ?? new Engine(this.context, name, keys);
    // Last used comes last: a Map keeps the order in which its keys were put in.
    this.byPrefix.delete(keys.prefix);
    this.byPrefix.set(keys.prefix, engine);
    if (this.byPrefix.size > REMEMBERED_ENGINES) this.forgetOne();
    return engine;
  }

  has(engine: Engine): boolean {
    return this.byPrefix.get(engine.keys.prefix) === engine;
  }

  async close(): Promise<void> {
    await Promise.all([...this.byPrefix.values()].map((engine) => engine.close()));
    this.stopLimits?.();
    this.stopResets();
  }

  /** Limits change rarely and matter to all who have ever used a primitive: one subscription hears of all of them. */
  private followLimits(): () => void {
    return this.context.store.listen([limitsOf('sem')], {
      changed: (entry) => this.byPrefix.get(primitiveOf(entry.key).prefix)?.limitAnnounced(entry),
      interrupted: () => {
        for (const engine of this.byPrefix.values()) engine.limitUncertain();
      },
    });
  }

  private forgetOne(): void {
    for (const [prefix, engine] of this.byPrefix) {
      if (!engine.idle) continue;
      this.byPrefix.delete(prefix);
      return;
    }
  }
}
