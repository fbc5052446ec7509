import { type Clock, atDeadline } from '../runtime/clock';
import { Lease } from '../lease/lease';
import type { Patience, Want } from '../protocol/request';
import { abortReason, onAbort } from '../runtime/on-abort';

/** An acquire that does not wait still gives the server this long to answer. */
const ANSWER_WITHIN_MS = 2_000;

/** A waiter for a permit, until granted, refused, out of time or aborted; settled exactly once. */
export class Waiter {
  readonly joinedAt: number;
  readonly immediate: boolean;
  /** Waiters of the same shape would write the same: a claim made for one serves another. */
  readonly shape: string;
  readonly result: Promise<Lease>;
  private resolve!: (lease: Lease) => void;
  private reject!: (error: Error) => void;
  private cancelTimer: (() => void) | undefined;
  private over = false;
  private stopListening: (() => void) | undefined;

  /**
   * @param timedOut what to fail with when the time is over
   * @param left called when it is settled
   */
  constructor(
    private readonly clock: Clock,
    readonly want: Want,
    private readonly patience: Patience,
    private readonly timedOut: (waiter: Waiter, ms: number) => Error,
    private readonly left: (waiter: Waiter) => void,
  ) {
    this.joinedAt = clock.now();
    this.immediate = patience.timeout === 0;
    this.shape = JSON.stringify([
      want.count,
      want.ttl,
      want.autoRenew,
      want.retain,
      want.mode,
      want.metadata,
    ]);
    this.result = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    const { signal, timeout } = patience;
    const ms = this.immediate ? ANSWER_WITHIN_MS : timeout;
    if (signal !== undefined) {
      this.stopListening = onAbort(signal, () => this.settle(abortReason(signal) as Error));
    }
    if (ms !== undefined && !this.over) this.waitAtMost(ms);
  }

  get settled(): boolean {
    return this.over;
  }

  settle(outcome: Lease | Error): void {
    if (this.over) return;
    this.over = true;
    this.cancelTimer?.();
    this.stopListening?.();
    if (outcome instanceof Lease) this.resolve(outcome);
    else this.reject(outcome);
    this.left(this);
  }

  private waitAtMost(ms: number): void {
    // A timer counts at most so far ahead, and may be early by a fraction of a millisecond.
    const left = this.joinedAt + ms - this.clock.now();
    if (left <= 0) return this.settle(this.timedOut(this, ms));
    this.cancelTimer = atDeadline(this.clock, left, () => this.waitAtMost(ms), { keepAlive: true });
  }
}
