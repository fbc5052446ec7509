import { type Clock, systemClock } from '../../runtime/clock';
import {
  type CommitOptions,
  type CommitResult,
  type Entry,
  type Listener,
  type Store,
  type Write,
  type WriteCounts,
  storedTtl,
} from '../store';
import type { StoreFullError } from '../../errors';
import { Announcements } from './announcements';
import { BucketOpener } from './bucket';
import { commit } from './commit';
import type { NatsConnection } from './connection';
import type { Contact } from './contact';
import { Deadline } from './deadline';
import { Link } from './link';
import { leaderFindsNone, readLast, withoutGhosts } from './read';
import { AGAIN, ATTEMPT_MS, type Again, Session } from './session';
import type { BucketOptions } from './stream-settings';
import { BucketNames } from './wire';

export interface NatsStoreOptions extends BucketOptions {
  bucket: string;
  /** Prefix of the subjects of the JetStream API. Default: `$JS.API`. */
  apiPrefix?: string;
  clock?: Clock;
}

/** How long one read may take, all its attempts together, in ms. */
const READ_MS = 5_000;
/** How long to wait for an answer before the bucket counts as out of reach, in ms. A busy cluster takes seconds to make one. */
const READY_MS = 10_000;

/** The store whose entries are keys of a JetStream KV bucket. */
export class NatsStore implements Store {
  private readonly clock: Clock;
  private readonly names: BucketNames;
  private readonly link: Link;
  private readonly opener: BucketOpener;
  private readonly session: Session;
  private readonly announcements: Announcements;
  private readonly resetCallbacks = new Set<() => void>();

  constructor(connection: NatsConnection, options: NatsStoreOptions) {
    this.clock = options.clock ?? systemClock;
    this.names = new BucketNames(options.bucket, options.apiPrefix);
    this.link = new Link(connection, this.clock);
    this.opener = new BucketOpener(this.link, this.names, options, this.clock);
    this.announcements = new Announcements(this.link, this.names);
    this.session = new Session(this.link, this.names, this.opener, this.announcements, this.clock, () => {
      for (const callback of [...this.resetCallbacks]) callback();
      this.announcements.interrupt();
    });
    this.link.onReconnect(() => {
      this.announcements.interrupt();
      void this.session.checkIncarnation();
    });
  }

  /** The state of the connection. */
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
   * Reads by direct get. With replicas an answer counts only if it is as new as the leader's state at the time of the request, and
   * only its entries that the leader has too.
   */
  read(patterns: readonly string[], options: { until?: number } = {}): Promise<readonly Entry[]> {
    const deadline = new Deadline(
      this.clock,
      Math.min(options.until ?? Infinity, this.clock.now() + READ_MS),
    );
    return this.session.persist<readonly Entry[]>('reading', deadline, async (bucket) => {
      const replicated = (bucket?.replicas ?? 1) > 1;
      return this.session.inTurn(deadline, 'idle', () =>
        this.readOnce(patterns, replicated, deadline.clip(ATTEMPT_MS)),
      );
    });
  }

  private async readOnce(
    patterns: readonly string[],
    replicated: boolean,
    timeout: number,
  ): Promise<readonly Entry[] | Again> {
    const leader = replicated ? await this.opener.leaderView(patterns) : undefined;
    const { entries, upTo } = await readLast(this.link, this.names, this.opener, patterns, timeout);
    this.link.checkSubscriptions();
    if (leader === undefined) return entries;
    if ((upTo ?? 0) >= leader.lastSequence) return withoutGhosts(entries, leader);
    if (upTo === undefined && (await this.nothingThere(patterns, timeout))) return entries;
    return AGAIN;
  }

  listen(patterns: readonly string[], listener: Listener): () => void {
    return this.announcements.listen(patterns, listener);
  }

  refusal(): StoreFullError | undefined {
    return this.session.refusal;
  }

  isCongested(): boolean {
    return this.session.isCongested;
  }

  markerTtl(ttl: number): number {
    return storedTtl(ttl);
  }

  onReset(callback: () => void): () => void {
    this.resetCallbacks.add(callback);
    return () => this.resetCallbacks.delete(callback);
  }

  close(): Promise<void> {
    this.announcements.close();
    this.resetCallbacks.clear();
    this.session.close();
    this.link.detach();
    return Promise.resolve();
  }

  private async nothingThere(patterns: readonly string[], timeout: number): Promise<boolean> {
    for (const pattern of patterns) {
      if (!(await leaderFindsNone(this.link, this.names, pattern, timeout))) return false;
    }
    return true;
  }
}
