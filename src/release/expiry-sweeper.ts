import { type Entry, storedTtl } from '../store/store';
import type { Primitive } from '../state/primitive-state';
import { MAX_WAITING_TTL_MS } from '../protocol/records';
import { type Removed, removeEntries } from '../store/remove-entries';

/** How much longer than its ttl an entry may stand before we remove it, in ms. The server expires it within a second. */
const SLACK_MS = 2_000;
/** At most this often. */
const LOOK_MS = 1_000;
/** After how long waiters begin to look, in ms. Most do not wait for so long. */
const SOON_MS = 100;
/** How long a removal is tried; there will be another look. */
const REMOVAL_MS = 2_000;
/** A change of leader may bring back hundreds. */
const REMOVALS_AT_ONCE = 50;

/** What it needs of the engine whose waiters it works for. */
export interface SweeperHost extends Primitive {
  /** Whether somebody of ours waits. */
  readonly isAwaited: boolean;
  /** Whether it is held by a permit of ours. */
  holds(key: string): boolean;
  /** Entries are gone, by our own write of the given revisions. */
  freed(entries: readonly Removed[]): void;
}

interface Shown {
  readonly entry: Entry;
  readonly ttl: number;
  /** By the clocks of the servers, which may differ; undefined: that does not count, or can not be told. */
  readonly age?: number | undefined;
}

interface Seen {
  readonly entry: Entry;
  /** Reading of the clock at the look that first showed that revision. */
  readonly since: number;
}

/**
 * Removes holds and tickets that the server forgot to expire. After a change of leader, or a restart after SIGKILL, a server
 * may have entries that ran out, or were removed, long before; it does not look at their TTL again, and all who wait would wait for them
 * (measured with nats-server 2.15 under the fault campaign).
 *
 * Nothing is removed that its holder could still believe in: it stands, under the same revision, for longer than its ttl since
 * *we* saw it there, by our own monotonic clock, so its last write is older than that by every clock; and it is removed only under
 * that revision. That is what the server's expiry does, later and more careful. Clocks of different machines do not matter.
 *
 * Tickets need not wait for that: who loses his place joins again, and nobody believes in anything on account of a ticket. They go by
 * when the servers say that they were written. Clocks that differ by less than 8 s cost nobody his place: a ticket of somebody who
 * waits is younger than 4 s.
 */
export class ExpirySweeper {
  private cancelLook: (() => void) | undefined;
  private sweeping = false;
  private lookedAt = -Infinity;
  /**
   * What the table showed at the last look, and since when it had by then. It outlasts the waiters: of several that wait for a second
   * each, one after the other, none would see an entry stand for longer than its ttl.
   */
  private seen = new Map<string, Seen>();

  constructor(private readonly host: SweeperHost) {}

  /** Sees to it that there will be a look while somebody waits. */
  start(): void {
    if (this.cancelLook !== undefined || this.sweeping) return;
    const { clock } = this.host.context;
    const next = this.lookedAt + LOOK_MS - clock.now();
    this.cancelLook = clock.after(Math.max(SOON_MS, next), () => {
      this.cancelLook = undefined;
      this.look();
    });
  }

  stop(): void {
    this.cancelLook?.();
    this.cancelLook = undefined;
  }

  private look(): void {
    const { context, watcher, isAwaited } = this.host;
    if (!isAwaited) return;
    const overdue = watcher.live ? this.overdue() : [];
    if (overdue.length === 0) return this.start();
    this.sweeping = true;
    context.background.add(
      this.remove(overdue).finally(() => {
        this.sweeping = false;
        this.start();
      }),
    );
  }

  /**
   * Those that nobody can believe in any more. They age from the look that first showed them: when the table says that it heard
   * of them may be when it asked, and they may be younger than that. A hold that can not be
   * read has no ttl, and stays.
   */
  private overdue(): Entry[] {
    const now = this.host.context.clock.now();
    this.lookedAt = now;
    const before = this.seen;
    this.seen = new Map();
    const found: Entry[] = [];
    for (const { entry, ttl, age = 0 } of this.shown()) {
      const known = before.get(entry.key);
      const seen = known?.entry.revision === entry.revision ? known : { entry, since: now };
      this.seen.set(entry.key, seen);
      const stands = Math.max(now - seen.since, age);
      if (stands > storedTtl(ttl) + SLACK_MS && !this.host.holds(entry.key)) found.push(entry);
    }
    return found;
  }

  private *shown(): Generator<Shown> {
    const { table, watcher, keys } = this.host;
    for (const holds of [table.taken, table.readers])
      for (const { entry, hold } of holds.values()) if (hold.ok) yield { entry, ttl: hold.record.ttl };
    for (const { entry, ticket } of table.tickets)
      yield { entry, ttl: ticket.ttl, age: watcher.ageOf(entry) };
    // Of demand notices, and of tickets that can not be read: a live process writes them again sooner than that.
    for (const key of [...table.corrupt.keys(), ...[...table.wishes].map((id) => keys.wish(id))]) {
      const part = keys.parse(key)?.part;
      const entry = part === 'ticket' || part === 'wish' ? table.entries.get(key) : undefined;
      if (entry !== undefined) yield { entry, ttl: MAX_WAITING_TTL_MS };
    }
  }

  private async remove(overdue: readonly Entry[]): Promise<void> {
    const { table, context, watcher } = this.host;
    for (let i = 0; i < overdue.length; i += REMOVALS_AT_ONCE) {
      const now = context.clock.now();
      const some = overdue.slice(i, i + REMOVALS_AT_ONCE).map((entry) => table.entries.removable(entry, now));
      const { freed, failure } = await removeEntries(context.store, some, now + REMOVAL_MS);
      this.host.freed(freed);
      // Out of reach, or not allowed to: others may do it.
      if (failure !== undefined) return;
    }
    // Others remove the same, and then it was heard of. Otherwise the table shows something that is not there.
    if (overdue.some(({ key, revision }) => table.entries.get(key)?.revision === revision)) watcher.refresh();
  }
}
