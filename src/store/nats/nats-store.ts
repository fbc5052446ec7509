import { backoff } from '../../core/backoff';
import { type Clock, sleep, systemClock } from '../../core/clock';
import { newId } from '../../core/id';
import { BackendUnavailableError, SemaphoreError, UnsupportedServerError } from '../../errors';
import {
  MARKER_TTL_MS,
  type CommitOptions,
  type CommitResult,
  type Entry,
  type Listener,
  type Store,
  type Write,
} from '../store';
import { BucketOpener, type BucketOptions, type OpenBucket } from './bucket';
import type { NatsConnection, Subscription } from './connection';
import { failureKind, toPublicError } from './failure';
import { Link } from './link';
import { publishOnce } from './publish';
import { leaderFindsNone, readLast, readStored } from './read';
import { BucketNames, messageToEntry } from './wire';

export interface NatsStoreOptions extends BucketOptions {
  bucket: string;
  clock?: Clock;
}

/** Longest a single request may take before it is sent again: long for a network, short for a lease. */
const ATTEMPT_MS = 2_000;
/** How long one read may take, all its attempts together. */
const READ_MS = 5_000;

/**
 * The entries as keys of a JetStream KV bucket.
 *
 * Writes: each is a publish that names the subject's last sequence, so of two that race one is refused. When no answer
 * comes, the same write is sent again: stored means that the first was not; refused means that the stream's leader is
 * asked whose write the key holds, by the id in its header. A write that is no longer wanted is superseded by a removal
 * marker under the same expectation, after which it can not be stored any more, however late it arrives.
 * (`Nats-Msg-Id` can not do this: with one replica the expectation is checked before the duplicate.)
 *
 * Reads: by direct get; with replicas only an answer as new as the leader's state at the time of asking counts.
 */
export class NatsStore implements Store {
  private readonly clock: Clock;
  private readonly names: BucketNames;
  private readonly link: Link;
  private readonly opener: BucketOpener;
  private readonly listeners = new Set<Listener>();
  private readonly resetCallbacks = new Set<() => void>();
  private readonly closing = new AbortController();
  private bucket: OpenBucket | undefined;
  private opening: Promise<OpenBucket> | undefined;
  private advisory: Subscription | undefined;
  private incarnation: string | undefined;

  constructor(
    private readonly connection: NatsConnection,
    options: NatsStoreOptions,
  ) {
    this.clock = options.clock ?? systemClock;
    this.names = new BucketNames(options.bucket);
    this.link = new Link(connection, this.clock);
    this.opener = new BucketOpener(this.link, this.names, options, this.clock);
    this.link.onReconnect(() => {
      for (const listener of [...this.listeners]) listener.interrupted();
      void this.checkIncarnation();
    });
  }

  async ready(): Promise<void> {
    await this.open();
  }

  down(): Error | undefined {
    return this.link.down();
  }

  trouble(): Error | undefined {
    return this.link.trouble();
  }

  async commit(writes: readonly Write[], options: CommitOptions = {}): Promise<CommitResult> {
    const { abandon } = options;
    const limit = new Limit(this.clock, options.until, abandon, longestTtl(writes));
    const id = newId();
    const withdrawId = newId();
    const markers = writes.map(({ key, expected }) => ({ key, expected, value: null, ttl: MARKER_TTL_MS }));
    let firstSentAt: number | undefined;
    for (const pause of backoff(20, 1_000)) {
      const bucket = await this.available(limit, abandon);
      if (writes.length > 1 && bucket?.atomic === false) throw noBatches(this.names.bucket);
      const unsettled = firstSentAt !== undefined;
      const withdrawing = abandon?.aborted === true;
      if (withdrawing && !unsettled) return { committed: false, withdrawn: true };

      const sentAt = this.clock.now();
      const [sending, sendingId] = withdrawing ? [markers, withdrawId] : [writes, id];
      const attempt = await publishOnce(this.link, this.names, sending, sendingId, limit.clip(ATTEMPT_MS));
      switch (attempt.outcome) {
        case 'stored':
          if (withdrawing) return { committed: false, withdrawn: true };
          return { committed: true, revisions: attempt.revisions, sentAt };
        case 'conflict':
          if (!unsettled) return conflict(attempt.actual);
          return this.settle(writes, id, withdrawId, firstSentAt ?? sentAt, limit);
        case 'refused':
          throw new SemaphoreError(
            'WRITE_REFUSED',
            `the server refused a write to ${writes[0]?.key}: ${attempt.reason}`,
          );
        case 'unanswered':
          if (attempt.kind === 'silent') firstSentAt ??= sentAt;
          this.afterFailure(attempt.kind, attempt.error, 'writing', limit);
      }
      await sleep(this.clock, limit.clip(pause), withdrawing ? undefined : abandon);
    }
    throw new Error('unreachable');
  }

  async read(patterns: readonly string[], options: { until?: number } = {}): Promise<readonly Entry[]> {
    const limit = new Limit(this.clock, Math.min(options.until ?? Infinity, this.clock.now() + READ_MS));
    for (const pause of backoff(5, 500)) {
      const bucket = await this.available(limit);
      try {
        const timeout = limit.clip(ATTEMPT_MS);
        const floor = (bucket?.replicas ?? 1) > 1 ? await this.opener.lastSequence() : 0;
        const { entries, upTo } = await readLast(this.link, this.names, this.opener, patterns, timeout);
        if (bucket === undefined || bucket.replicas === 1 || (upTo ?? 0) >= floor) return entries;
        if (upTo === undefined && (await this.nothingThere(patterns, timeout))) return entries;
      } catch (error) {
        const kind = failureKind(error);
        if (kind === undefined) throw error;
        this.afterFailure(kind, error, 'reading', limit);
      }
      await sleep(this.clock, limit.clip(pause));
    }
    throw new Error('unreachable');
  }

  listen(patterns: readonly string[], listener: Listener): () => void {
    this.listeners.add(listener);
    const subscriptions = patterns.map((pattern) =>
      this.link.subscribe(this.names.events(pattern), (message) => {
        const entry = messageToEntry(this.names, message);
        if (entry !== undefined && this.listeners.has(listener)) listener.changed(entry);
      }),
    );
    return () => {
      if (!this.listeners.delete(listener)) return;
      if (this.connection.isClosed()) return;
      for (const subscription of subscriptions) subscription.unsubscribe();
    };
  }

  onReset(callback: () => void): () => void {
    this.resetCallbacks.add(callback);
    return () => this.resetCallbacks.delete(callback);
  }

  isClosed(): boolean {
    return this.closing.signal.aborted || this.connection.isClosed();
  }

  close(): Promise<void> {
    this.closing.abort();
    this.listeners.clear();
    this.resetCallbacks.clear();
    if (!this.connection.isClosed()) this.advisory?.unsubscribe();
    this.link.detach();
    return Promise.resolve();
  }

  /** After a refusal that may be due to our own earlier attempt: finds out whose writes are stored. */
  private async settle(
    writes: readonly Write[],
    id: string,
    withdrawId: string,
    sentAt: number,
    limit: Limit,
  ): Promise<CommitResult> {
    const stored = [];
    for (const { key } of writes) stored.push(await this.storedWrite(key, limit));
    const ours = stored.map((found) => (found?.writeId === id ? found.revision : undefined));
    if (ours.every((revision) => revision !== undefined)) return { committed: true, revisions: ours, sentAt };
    if (stored.every((found) => found?.writeId === withdrawId)) return { committed: false, withdrawn: true };
    // Part of a batch has already been superseded: it is of no use as a whole, so the rest is taken back.
    for (const [i, revision] of ours.entries()) {
      const key = writes[i]?.key ?? '';
      if (revision !== undefined)
        await this.commit([{ key, expected: revision, value: null }], { until: limit.at });
    }
    return conflict(writes.length === 1 ? (stored[0]?.revision ?? 0) : undefined);
  }

  private async storedWrite(
    key: string,
    limit: Limit,
  ): Promise<{ revision: number; writeId: string } | undefined> {
    for (const pause of backoff(20, 1_000)) {
      await this.available(limit);
      try {
        return await readStored(this.link, this.names, key, limit.clip(ATTEMPT_MS));
      } catch (error) {
        const kind = failureKind(error);
        if (kind === undefined) throw error;
        this.afterFailure(kind, error, 'finding out about a write', limit);
      }
      await sleep(this.clock, limit.clip(pause));
    }
    throw new Error('unreachable');
  }

  private async nothingThere(patterns: readonly string[], timeout: number): Promise<boolean> {
    for (const pattern of patterns) {
      if (!(await leaderFindsNone(this.link, this.names, pattern, timeout))) return false;
    }
    return true;
  }

  /**
   * Waits for the connection and an open bucket. Returns early when `signal` aborts meanwhile.
   * @throws BackendUnavailableError when the limit passes or the connection is closed for good; whatever else opening throws
   */
  private async available(limit: Limit, signal?: AbortSignal): Promise<OpenBucket | undefined> {
    const interrupt = signal?.aborted === true ? undefined : signal;
    for (const pause of backoff(50, 1_000)) {
      const trouble = this.link.trouble();
      limit.check(trouble, this.closing.signal);
      if (this.connection.isClosed()) throw toPublicError(trouble, 'waiting for the server');
      if (this.link.isUp) {
        if (this.bucket !== undefined) return this.bucket;
        try {
          return await this.open();
        } catch (error) {
          if (!(error instanceof BackendUnavailableError)) throw error;
        }
      }
      await this.link.whenUp(limit.clip(Infinity), interrupt);
      if (this.bucket === undefined) await sleep(this.clock, limit.clip(pause), interrupt);
      if (interrupt?.aborted === true) return this.bucket;
    }
    throw new Error('unreachable');
  }

  /** What to do about a request that failed: give up, or make what the next attempt needs. */
  private afterFailure(
    kind: 'silent' | 'absent' | 'closed' | 'denied',
    error: unknown,
    doing: string,
    limit: Limit,
  ): void {
    if (kind === 'closed' || kind === 'denied') throw toPublicError(error, doing);
    limit.check(error, this.closing.signal);
    if (kind !== 'absent') return;
    // Nobody serves the bucket: its stream is gone, or has no leader at the moment. Opening it again tells which.
    this.bucket = undefined;
  }

  private open(): Promise<OpenBucket> {
    if (this.bucket !== undefined) return Promise.resolve(this.bucket);
    this.opening ??= this.openNow().finally(() => {
      this.opening = undefined;
    });
    return this.opening;
  }

  private async openNow(): Promise<OpenBucket> {
    this.advisory ??= this.link.subscribe(this.names.deletedAdvisory, () => this.reset());
    const bucket = await this.opener.open();
    this.adopt(bucket.created);
    this.bucket = bucket;
    return bucket;
  }

  private adopt(created: string): void {
    if (this.incarnation !== undefined && this.incarnation !== created) this.reset();
    this.incarnation = created;
  }

  /** After a reconnect: the bucket may have been replaced while nobody could tell us. */
  private async checkIncarnation(): Promise<void> {
    try {
      const info = await this.opener.find();
      if (info === undefined) this.reset();
      else this.adopt(info.created);
    } catch {
      // Still out of reach. The next request, or the next reconnect, will tell.
    }
  }

  private reset(): void {
    this.bucket = undefined;
    this.incarnation = undefined;
    for (const callback of [...this.resetCallbacks]) callback();
    for (const listener of [...this.listeners]) listener.interrupted();
  }
}

/** Until when an operation may go on: a time, or, once it is abandoned, as long as its writes could still matter. */
class Limit {
  private abandonedAt: number | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly until: number = Infinity,
    private readonly abandon?: AbortSignal,
    private readonly grace: number = 0,
  ) {}

  get at(): number {
    if (this.abandon?.aborted !== true) return this.until;
    this.abandonedAt ??= this.clock.now();
    return Math.min(this.until, this.abandonedAt + this.grace);
  }

  /** `ms`, or less if the limit comes sooner; at least 1. */
  clip(ms: number): number {
    return Math.max(1, Math.min(ms, this.at - this.clock.now()));
  }

  check(trouble: unknown, closing: AbortSignal): void {
    if (closing.aborted) throw new BackendUnavailableError('the store was closed before the server answered');
    if (this.clock.now() < this.at) return;
    const reason = trouble instanceof Error ? `: ${trouble.message}` : '';
    throw new BackendUnavailableError(`no answer from the server in the time allowed${reason}`, {
      cause: trouble,
    });
  }
}

function conflict(actual: number | undefined): CommitResult {
  return actual === undefined ? { committed: false } : { committed: false, actual };
}

function noBatches(bucket: string): UnsupportedServerError {
  return new UnsupportedServerError(
    `the bucket "${bucket}" takes no atomic batches, which a permit of several slots needs: nats-server 2.12 or newer, ` +
      'and, for a bucket made by an older one, allowBucketUpdate: true',
  );
}

function longestTtl(writes: readonly Write[]): number {
  return Math.max(...writes.map((write) => write.ttl ?? ATTEMPT_MS), MARKER_TTL_MS);
}
