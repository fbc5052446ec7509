import type { Clock } from '../runtime/clock';
import type { AnyStatus } from './schemas';
import { type Span, TIMELINE_MS, withStatus } from './timeline';

/** Most primitives of which the last minutes are kept. Beyond that those go first that have changed least recently. */
const MOST = 20_000;

/** Who held what in the last minutes, of each primitive by its key. What is older is dropped as time passes. */
export class History {
  private readonly spans = new Map<string, readonly Span[]>();
  /** When each last changed, on the monotonic clock, oldest first. What is not here has only holds that go on. */
  private readonly changed = new Map<string, number>();
  private cancelPrune: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly statusOf: (key: string) => AnyStatus | undefined,
    private readonly most = MOST,
  ) {}

  get size(): number {
    return this.spans.size;
  }

  note(key: string, status: AnyStatus | undefined, now: number): void {
    const spans = withStatus(this.spans.get(key) ?? [], status, now);
    this.changed.delete(key);
    if (spans.length === 0) {
      this.spans.delete(key);
      return;
    }
    this.spans.set(key, spans);
    this.changed.set(key, this.clock.now());
    while (this.changed.size > this.most) this.forgetOldest();
    this.schedule();
  }

  /** By key; with what ended just now, and without what is too old. */
  all(now: number): Record<string, readonly Span[]> {
    const shown = [...this.spans].map(
      ([key, spans]) => [key, withStatus(spans, this.statusOf(key), now)] as const,
    );
    return Object.fromEntries(shown.filter(([, spans]) => spans.length > 0));
  }

  clear(): void {
    this.cancelPrune?.();
    this.cancelPrune = undefined;
    this.spans.clear();
    this.changed.clear();
  }

  private forgetOldest(): void {
    for (const key of this.changed.keys()) {
      this.changed.delete(key);
      this.spans.delete(key);
      return;
    }
  }

  /** Looks at the one that has not changed for longest when all that has ended of it is too old. */
  private schedule(): void {
    const [oldest] = this.changed.values();
    if (oldest === undefined) return;
    this.cancelPrune ??= this.clock.after(oldest + TIMELINE_MS - this.clock.now(), () => {
      this.cancelPrune = undefined;
      this.prune();
      this.schedule();
    });
  }

  private prune(): void {
    const due = this.clock.now() - TIMELINE_MS;
    for (const [key, at] of this.changed) {
      if (at > due) return;
      this.changed.delete(key);
      const held = (this.spans.get(key) ?? []).filter(({ to }) => to === null);
      if (held.length === 0) this.spans.delete(key);
      else this.spans.set(key, held);
    }
  }
}
