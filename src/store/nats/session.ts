import { Abort, type Aborting } from '../../runtime/cancellation';
import { backoff } from '../../runtime/backoff';
import { type Clock, sleep } from '../../runtime/clock';
import { BackendUnavailableError, SemaphoreError, type StoreFullError } from '../../errors';
import type { StreamInfo } from '@nats-io/jetstream';
import type { Announcements } from './announcements';
import type { BucketOpener, OpenBucket } from './bucket';
import type { Subscription } from './connection';
import type { Deadline } from './deadline';
import { failureKind, toPublicError } from './failure';
import type { Link } from './link';
import type { WriteCounts } from '../store';
import { type Urgency, Window } from './window';
import type { BucketNames } from './wire';

/** Longest time a single request may take before it is sent again, in ms: long for a network, short for a lease. */
export const ATTEMPT_MS = 2_000;

/** Result of an attempt that did not count. A further attempt may. */
export class Again {
  /** @param reason why it did not count, for the error message if the caller runs out of time */
  constructor(readonly reason?: Error) {}
}

export const AGAIN = new Again();

/** Longest pause between two attempts, in ms. A write that waits for room is stored within a second of there being room. */
const MAX_PAUSE_MS = 500;

/** An open bucket. The session keeps it open across reconnects, restarts, changes of leader, and its own deletion. */
export class Session {
  /** Why the server refused the last write, if it may accept the write later. */
  refusal: StoreFullError | undefined;
  readonly counts: WriteCounts = { unanswered: 0, resolved: 0 };
  private readonly closing = new Abort();
  private readonly window: Window;
  private bucket: OpenBucket | undefined;
  private opening: Promise<OpenBucket> | undefined;
  private advisories: readonly Subscription[] | undefined;
  /** Whether the bucket is being checked (`looking`), and whether it must be checked once more after that (`lookAgain`). */
  private looking = false;
  private lookAgain = false;
  private incarnation: string | undefined;

  /** @param onReset called when all entries disappear at once, since the bucket was deleted or replaced */
  constructor(
    readonly link: Link,
    readonly names: BucketNames,
    readonly opener: BucketOpener,
    private readonly announcements: Announcements,
    readonly clock: Clock,
    private readonly onReset: () => void,
  ) {
    this.window = new Window(clock);
  }

  get closed(): boolean {
    return this.closing.aborted || this.link.connection.isClosed();
  }

  /** @throws UnsupportedServerError, BucketConfigError, PermissionDeniedError, BackendUnavailableError */
  open(): Promise<OpenBucket> {
    if (this.bucket !== undefined) return Promise.resolve(this.bucket);
    this.opening ??= this.openNow().finally(() => {
      this.opening = undefined;
    });
    return this.opening;
  }

  /** Whether requests wait until others are answered. */
  get isCongested(): boolean {
    return this.window.isFull;
  }

  close(): void {
    this.closing.abort();
    if (this.link.connection.isClosed()) return;
    for (const advisory of this.advisories ?? []) advisory.unsubscribe();
  }

  /**
   * Makes attempts until one counts: the only loop that retries. If an attempt fails to reach the server, it is made again
   * when the server is back; any other error ends the loop.
   * @param attempt called with the open bucket, or with undefined if `deadline.abandon` aborts before the bucket is open
   * @throws BackendUnavailableError when the deadline passes or the connection is closed for good; and other errors
   */
  async persist<T>(
    doing: string,
    deadline: Deadline,
    attempt: (bucket: OpenBucket | undefined) => Promise<T | Again>,
  ): Promise<T> {
    let pauses: Iterator<number, never> | undefined;
    let reason: Error | undefined;
    for (;;) {
      const interrupt = this.interruptOf(deadline);
      const bucket = this.readyFor(deadline) ?? (await this.available(deadline, interrupt, reason));
      try {
        const answer = await attempt(bucket);
        if (!(answer instanceof Again)) return answer;
        reason = answer.reason ?? reason;
      } catch (error) {
        this.considerFailure(error, doing, deadline);
      }
      pauses ??= backoff(5, MAX_PAUSE_MS);
      await sleep(this.clock, deadline.clip(pauses.next().value), interrupt);
    }
  }

  /**
   * Makes one request when it is its turn. Resolves with {@link AGAIN} if nothing was sent, because the link was lost or the deadline
   * passed while the request waited for its turn.
   */
  async inTurn<T>(deadline: Deadline, urgency: Urgency, request: () => Promise<T>): Promise<T | Again> {
    const turn = this.window.enter(deadline, urgency);
    const leave = turn instanceof Promise ? await turn : turn;
    if (leave === undefined) return AGAIN;
    try {
      // While the request waited, the link, the bucket or the deadline may have changed.
      return turn instanceof Promise && this.readyFor(deadline) === undefined ? AGAIN : await request();
    } finally {
      leave();
    }
  }

  /**
   * Checks whether the bucket is still the same. Called after a reconnect, and when the server announces that the bucket was deleted
   * or changed. Such a message is only a hint: a message of another JetStream domain, or of another client, looks the same.
   */
  async checkIncarnation(): Promise<void> {
    this.lookAgain = true;
    if (this.looking) return;
    this.looking = true;
    try {
      const pauses = backoff(50, 1_000);
      while (this.lookAgain) {
        this.lookAgain = false;
        try {
          // A bucket that is being opened counts as known only once it is open, and may have changed meanwhile.
          await this.opening?.catch(() => undefined);
          this.compare(await this.opener.find());
        } catch (error) {
          // In the other cases the next request, or the next reconnect, finds it out.
          if (!(error instanceof BackendUnavailableError) || !this.link.isUp) return;
          await sleep(this.clock, pauses.next().value, this.closing);
          this.lookAgain = !this.closed;
        }
      }
    } finally {
      this.looking = false;
    }
  }

  /** Compares the known bucket with its current stream. @param info undefined if there is no stream */
  private compare(info: StreamInfo | undefined): void {
    if (info === undefined) return this.reset();
    this.adopt(info.created);
    if (this.bucket === undefined || this.opener.isStill(info, this.bucket)) return;
    // The next opening finds out whether the bucket can still be used, and where it announces changes.
    this.bucket = undefined;
    this.announcements.interrupt();
  }

  /** The open bucket, if there is nothing to wait for. This is nearly always so. */
  private readyFor(deadline: Deadline): OpenBucket | undefined {
    return this.link.isUp && !this.closing.aborted && !deadline.passed ? this.bucket : undefined;
  }

  /** Waits for the connection and an open bucket. Returns early when `interrupt` aborts meanwhile. */
  private async available(
    deadline: Deadline,
    interrupt: Aborting | undefined,
    reason: Error | undefined,
  ): Promise<OpenBucket | undefined> {
    let unopened: Error | undefined;
    for (const pause of backoff(50, 1_000)) {
      const trouble = this.link.down() ?? unopened ?? reason ?? this.link.trouble();
      if (this.closing.aborted) throw new BackendUnavailableError('the store was closed before it was done');
      if (this.closed) throw toPublicError(trouble, 'waiting for the server');
      deadline.check(trouble);
      if (this.link.isUp) {
        if (this.bucket !== undefined) return this.bucket;
        try {
          return await this.open();
        } catch (error) {
          if (!(error instanceof BackendUnavailableError)) throw error;
          unopened = error;
        }
      }
      await this.link.whenUp(deadline.clip(Infinity), interrupt);
      if (this.bucket === undefined) await sleep(this.clock, deadline.clip(pause), interrupt);
      if (interrupt?.aborted === true) return this.bucket;
    }
    throw new Error('unreachable');
  }

  /** The signal that ends a wait early. Once it has aborted, the waits for the remaining work are not cut short. */
  private interruptOf({ abandon }: Deadline): Aborting | undefined {
    return abandon?.aborted === true ? undefined : abandon;
  }

  /** Handles a failed attempt: throws if the loop must give up, otherwise prepares the next attempt. */
  private considerFailure(error: unknown, doing: string, deadline: Deadline): void {
    const final = error instanceof SemaphoreError && !(error instanceof BackendUnavailableError);
    const kind = failureKind(error);
    if (final || kind === undefined) throw error;
    if (kind === 'closed' || kind === 'denied') throw toPublicError(error, doing);
    deadline.check(error);
    // No server serves the bucket: its stream is gone, or has no leader at the moment. The next opening finds out which.
    if (kind === 'absent') this.bucket = undefined;
  }

  private async openNow(): Promise<OpenBucket> {
    const { deletedAdvisory, updatedAdvisory } = this.names;
    this.advisories ??= [deletedAdvisory, updatedAdvisory].map((subject) =>
      this.link.subscribe(subject, () => void this.checkIncarnation()),
    );
    const bucket = await this.opener.open();
    // Subscribe before the bucket counts as open: listeners must receive every change that comes after their first read.
    this.announcements.follow(bucket.destination);
    try {
      this.link.checkSubscriptions();
    } catch (error) {
      throw toPublicError(error, `listening to the bucket "${this.names.bucket}"`);
    }
    this.adopt(bucket.created);
    this.bucket = bucket;
    return bucket;
  }

  private adopt(created: string): void {
    if (this.incarnation !== undefined && this.incarnation !== created) this.reset();
    this.incarnation = created;
  }

  private reset(): void {
    this.bucket = undefined;
    this.incarnation = undefined;
    this.onReset();
  }
}
