import type { Store } from './store';
import type { Clock } from '../runtime/clock';
import type { BatchedTimers } from '../runtime/batched-timers';

/** How often the watchers made a safety read, and how often that found a change that was not announced. */
export interface WatcherCounts {
  safetyReads: number;
  safetyFinds: number;
}

/** The objects and settings that all primitives of one dispatcher share. */
export interface Context {
  readonly store: Store;
  readonly clock: Clock;
  /** Name of this process as a holder, for status views. */
  readonly holder: string;
  /** How long before a lease's end its permit is declared lost, in ms; undefined for the default share of the ttl. */
  readonly safetyMargin: number | undefined;
  readonly counts: WatcherCounts;
  readonly background: Background;
  /** Timers for work that need not happen to the millisecond. */
  readonly pulse: BatchedTimers;
}

/** Work that goes on after the call that started it has returned, and that `close` waits for. */
export class Background {
  private underway = 0;
  private whenIdle: (() => void)[] = [];

  /** Tracks a task until it settles. Errors are ignored: the caller has already been notified, or is gone. */
  add(task: Promise<unknown>): void {
    this.underway++;
    void task.then(this.done, this.done);
  }

  async settled(): Promise<void> {
    while (this.underway > 0) await new Promise<void>((resolve) => this.whenIdle.push(resolve));
  }

  private readonly done = (): void => {
    if (--this.underway === 0) for (const tell of this.whenIdle.splice(0)) tell();
  };
}
