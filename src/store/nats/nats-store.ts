import { type Clock, systemClock } from '../../core/clock';
import type { CommitOptions, CommitResult, Entry, Listener, Store, Write, WriteCounts } from '../store';
import { BucketOpener, type BucketOptions } from './bucket';
import { commit } from './commit';
import type { NatsConnection } from './connection';
import type { Contact } from './contact';
import { Deadline } from './deadline';
import { Link } from './link';
import { leaderFindsNone, readLast, withoutGhosts } from './read';
import { AGAIN, ATTEMPT_MS, Session } from './session';
import { BucketNames, messageToEntry } from './wire';

export interface NatsStoreOptions extends BucketOptions {
  bucket: string;
  clock?: Clock;
}

/** How long one read may take, all its attempts together. */
const READ_MS = 5_000;
/** For how long an answer is waited for before the bucket counts as out of reach. A busy cluster takes seconds to make one. */
const READY_MS = 10_000;

/** The entries as keys of a JetStream KV bucket. */
export class NatsStore implements Store {
  private readonly clock: Clock;
  private readonly names: BucketNames;
  private readonly link: Link;
  private readonly opener: BucketOpener;
  private readonly session: Session;
  private readonly listeners = new Set<Listener>();
  private readonly resetCallbacks = new Set<() => void>();

  constructor(
    private readonly connection: NatsConnection,
    options: NatsStoreOptions,
  ) {
    this.clock = options.clock ?? systemClock;
    this.names = new BucketNames(options.bucket);
    this.link = new Link(connection, this.clock);
    this.opener = new BucketOpener(this.link, this.names, options, this.clock);
    this.session = new Session(this.link, this.names, this.opener, this.clock, () => {
      for (const callback of [...this.resetCallbacks]) callback();
      this.interrupt();
    });
    this.link.onReconnect(() => {
      this.interrupt();
      void this.session.checkIncarnation();
    });
  }

  /** How the connection stands. */
  get contact(): Contact {
    return this.link.contact;
  }

  get counts(): Readonly<WriteCounts> {
    return this.session.counts;
  }

  async ready(): Promise<void> {
    const deadline = new Deadline(this.clock, this.clock.now() + READY_MS);
    await this.session.persist('opening the bucket', deadline, () => Promise.resolve());
  }

  down(): Error | undefined {
    return this.link.down();
  }

  trouble(): Error | undefined {
    return this.link.trouble();
  }

  isClosed(): boolean {
    return this.session.closed;
  }

  commit(writes: readonly Write[], options: CommitOptions = {}): Promise<CommitResult> {
    return commit(this.session, writes, options);
  }

  /**
   * By direct get. With replicas only an answer as new as the leader's state at the time of asking counts, and of it only
   * what the leader has too.
   */
  read(patterns: readonly string[], options: { until?: number } = {}): Promise<readonly Entry[]> {
    const deadline = new Deadline(
      this.clock,
      Math.min(options.until ?? Infinity, this.clock.now() + READ_MS),
    );
    return this.session.persist<readonly Entry[]>('reading', deadline, async (bucket) => {
      const timeout = deadline.clip(ATTEMPT_MS);
      const replicated = (bucket?.replicas ?? 1) > 1;
      const leader = replicated ? await this.opener.leaderView(patterns) : undefined;
      const { entries, upTo } = await readLast(this.link, this.names, this.opener, patterns, timeout);
      this.link.checkSubscriptions();
      if (leader === undefined) return entries;
      if ((upTo ?? 0) >= leader.lastSequence) return withoutGhosts(entries, leader);
      if (upTo === undefined && (await this.nothingThere(patterns, timeout))) return entries;
      return AGAIN;
    });
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

  close(): Promise<void> {
    this.listeners.clear();
    this.resetCallbacks.clear();
    this.session.close();
    this.link.detach();
    return Promise.resolve();
  }

  private interrupt(): void {
    for (const listener of [...this.listeners]) listener.interrupted();
  }

  private async nothingThere(patterns: readonly string[], timeout: number): Promise<boolean> {
    for (const pattern of patterns) {
      if (!(await leaderFindsNone(this.link, this.names, pattern, timeout))) return false;
    }
    return true;
  }
}
