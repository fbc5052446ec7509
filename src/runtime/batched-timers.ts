import type { Clock } from './clock';

/** Width of a batch, in ms: short for a lease, long enough to gather timers that are due around the same time. */
export const PULSE_MS = 100;
/** From how many random batches to choose the smallest. Two would be enough to keep the largest batch near the average. */
const CHOICES = 3;

interface Beat {
  readonly callbacks: Set<() => void>;
  readonly cancel: () => void;
}

/**
 * Timers that fire in batches: callbacks due within the same {@link PULSE_MS} are called together, so that the renewals of many
 * leases leave in one packet. Each packet costs more than all else in a renewal (measured: a third of a renewal is the one
 * call that writes to the socket).
 */
export class BatchedTimers {
  private readonly beats = new Map<number, Beat>();

  constructor(private readonly clock: Clock) {}

  /** Calls back at `time` of the clock, or up to {@link PULSE_MS} earlier. The returned function cancels it. */
  at(time: number, callback: () => void): () => void {
    const number = Math.floor(time / PULSE_MS);
    const beat = this.beats.get(number) ?? this.begin(number);
    // A function of its own, since the same callback may be added twice.
    const own = (): void => callback();
    beat.callbacks.add(own);
    return () => {
      if (!beat.callbacks.delete(own) || beat.callbacks.size > 0 || this.beats.get(number) !== beat) return;
      this.beats.delete(number);
      beat.cancel();
    };
  }

  /** A time between two others at which few callbacks are due: of several random times the one with the fewest. */
  quietest(from: number, to: number): number {
    let best = from;
    let fewest = Infinity;
    for (let i = 0; i < CHOICES && fewest > 0; i++) {
      const time = from + (to - from) * Math.random();
      const due = this.beats.get(Math.floor(time / PULSE_MS))?.callbacks.size ?? 0;
      if (due < fewest) [best, fewest] = [time, due];
    }
    return best;
  }

  private begin(number: number): Beat {
    const callbacks = new Set<() => void>();
    const cancel = this.clock.after(Math.max(1, number * PULSE_MS - this.clock.now()), () => {
      this.beats.delete(number);
      // A callback that an earlier one cancels is not called.
      for (const callback of callbacks) {
        callbacks.delete(callback);
        callback();
      }
    });
    const beat = { callbacks, cancel };
    this.beats.set(number, beat);
    return beat;
  }
}
