import { AcquireTimeoutError, SemaphoreError } from '../errors';
import type { Store } from '../store/store';
import { type Clock, atDeadline } from '../runtime/clock';
import type { Round } from '../protocol/records';
import { abortReason, onAbort } from '../runtime/on-abort';
import { unavailable } from '../state/refusals';
import type { Patience } from '../protocol/request';

/** A waiter for a latch to reach zero, until it does, out of time or aborted; settled exactly once. */
export class LatchWaiter {
  readonly result: Promise<void>;
  private resolve!: () => void;
  private reject!: (error: Error) => void;
  private readonly joinedAt: number;
  /** The round that was under way when it first saw one. */
  private round: string | undefined;
  private looked = false;
  private over = false;
  private cancelTimer: (() => void) | undefined;
  private stopListening: (() => void) | undefined;

  /**
   * @param wanted the total in the code
   * @param left called when it is settled
   */
  constructor(
    private readonly name: string,
    private readonly clock: Clock,
    private readonly store: Store,
    readonly wanted: number | undefined,
    private readonly patience: Patience,
    private readonly left: () => void,
  ) {
    this.joinedAt = clock.now();
    this.result = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    const { signal, timeout } = patience;
    if (signal !== undefined) {
      this.stopListening = onAbort(signal, () => this.settle(abortReason(signal) as Error));
    }
    if (timeout !== undefined && timeout > 0 && !this.over) this.waitAtMost(timeout);
  }

  /** The present state. A round other than the one it waited for means that that one reached zero. */
  found(round: Round | undefined, isZero: boolean): void {
    this.looked = true;
    if (round === undefined) {
      if (this.round !== undefined) this.settle(lost(this.name));
      return;
    }
    this.round ??= round.round;
    if (isZero || this.round !== round.round) this.settle();
  }

  timeIsUp(): void {
    const ms = this.patience.timeout ?? 0;
    const trouble = this.store.trouble();
    if (trouble !== undefined || !this.looked) {
      this.settle(unavailable(this.name, ms, trouble, 'latch'));
    } else {
      this.settle(
        new AcquireTimeoutError(`the latch "${this.name}" did not reach zero within ${ms} ms`, {
          primitive: this.name,
        }),
      );
    }
  }

  settle(error?: Error): void {
    if (this.over) return;
    this.over = true;
    this.cancelTimer?.();
    this.stopListening?.();
    if (error === undefined) this.resolve();
    else this.reject(error);
    this.left();
  }

  private waitAtMost(ms: number): void {
    const left = this.joinedAt + ms - this.clock.now();
    if (left <= 0) return this.timeIsUp();
    this.cancelTimer = atDeadline(this.clock, left, () => this.waitAtMost(ms), { keepAlive: true });
  }
}

function lost(primitive: string): SemaphoreError {
  return new SemaphoreError(
    'LATCH_LOST',
    `the count of the latch "${primitive}" was removed while it was waited for`,
    { primitive },
  );
}
