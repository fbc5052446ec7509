import type { Clock } from './clock';

/** How far apart the moments are, in ms: short for a lease, long enough to gather what is due around the same time. */
export const PULSE_MS = 100;
/** Among how many moments to look for the quietest. Two would do to keep the busiest near the average. */
const CHOICES = 3;

interface Beat {
  readonly callbacks: Set<() => void>;
  readonly cancel: () => void;
}

/**
 * Timers that go off together: what is due within the same {@link PULSE_MS} is called in one go, so that renewals of many
 * leases leave in one packet. Each packet costs more than all else in a renewal (measured: a third of it is the one call
 * that writes to the socket).
 */
export class BatchedTimers {
  private readonly beats = new Map<number, Beat>();

  constructor(private readonly clock: Clock) {}

  /** Calls back at `time` of the clock, or up to {@link PULSE_MS} earlier. The returned function cancels it. */
  at(time: number, callback: () => void): () => void {
    const number = Math.floor(time / PULSE_MS);
    const beat = this.beats.get(number) ?? this.begin(number);
    // The same function may be given twice.
    const own = (): void => callback();
    beat.callbacks.add(own);
    return () => {
      if (!beat.callbacks.delete(own) || beat.callbacks.size > 0 || this.beats.get(number) !== beat) return;
      this.beats.delete(number);
      beat.cancel();
    };
  }

  /** A time between two others, at which few are due: at random, and of several the one with the fewest. */
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
      // Those that are cancelled by one before them are not called.
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
