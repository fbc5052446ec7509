import type { Context } from './context';
import { Engine } from './engine';
import { type Keys, limitsOf, primitiveOf } from './keys';
import { Remembered } from './remembered';

/** The engines of one dispatcher, one for each primitive that it uses. */
export class Engines {
  private readonly byPrefix = new Remembered<Engine>();
  private readonly stopResets: () => void;
  private stopLimits: (() => void) | undefined;

  constructor(private readonly context: Context) {
    this.stopResets = context.store.onReset(() => {
      for (const engine of this.byPrefix.all) engine.reset();
    });
  }

  /** The engine for a primitive: to be asked for again for each operation, since one that is idle may be forgotten. */
  get(keys: Keys, name: string): Engine {
    this.stopLimits ??= this.followLimits();
    return this.byPrefix.get(keys.prefix, () => new Engine(this.context, name, keys));
  }

  has(engine: Engine): boolean {
    return this.byPrefix.find(engine.keys.prefix) === engine;
  }

  async close(): Promise<void> {
    await Promise.all(this.byPrefix.all.map((engine) => engine.close()));
    this.stopLimits?.();
    this.stopResets();
  }

  /** Limits change rarely and matter to all who have ever used a primitive: one subscription hears of all of them. */
  private followLimits(): () => void {
    return this.context.store.listen([limitsOf('sem')], {
      changed: (entry) => this.byPrefix.find(primitiveOf(entry.key).prefix)?.limitAnnounced(entry),
      interrupted: () => {
        for (const engine of this.byPrefix.all) engine.limitUncertain();
      },
    });
  }
}
