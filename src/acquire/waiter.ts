import { type Clock, atDeadline } from '../runtime/clock';
import { Lease } from '../lease/lease';
import { abortReason, onAbort } from '../runtime/on-abort';

/** How a differing number of slots in the code and in the bucket is dealt with. */
export type LimitPolicy = 'error' | 'adopt' | 'set';

/** What an acquire asks for. */
export interface Want {
  /** How many slots, or all that are free. */
  readonly count: number | 'all free';
  readonly ttl: number;
  readonly autoRenew: boolean;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** For how long this process keeps the slot after a release, in ms; 0: it is given back at once. */
  readonly retain: number;
  /** Whether it queues with a ticket that other processes see. */
  readonly fair: boolean;
  /** The number of slots as the code has it; undefined: whatever is stored. */
  readonly slots: number | undefined;
  readonly limitPolicy: LimitPolicy;
  /** After how long without use a limit goes that is stored for this, in ms; undefined: never. */
  readonly forgetAfter?: number | undefined;
  /** Of a read-write lock: which side. */
  readonly mode?: 'read' | 'write';
}

export interface Patience {
  /** Ms to wait; 0: take what is free, do not wait; undefined: wait for ever. */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An acquire that does not wait still gives the server this long to answer. */
const ANSWER_WITHIN_MS = 2_000;

/** Somebody who waits for a permit, until granted, refused, out of time or aborted; settled exactly once. */
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
