import { type Entry, storedTtl } from '../store/store';
import type { Primitive } from '../state/primitive-state';
import { MAX_WAITING_TTL_MS } from '../protocol/records';
import { type Removed, removeEntries } from '../store/remove-entries';

/** How much longer than its ttl an entry may stand before this process removes it, in ms. The server expires it within a second. */
const SLACK_MS = 2_000;
/** Looks at most this often. */
const LOOK_MS = 1_000;
/** After how long waiters begin to look, in ms. Most do not wait for so long. */
const SOON_MS = 100;
/** How long a removal is tried; there will be another look. */
const REMOVAL_MS = 2_000;
/** A change of leader may bring back hundreds. */
const REMOVALS_AT_ONCE = 50;

/** What the sweeper needs of the engine for whose waiters it works. */
export interface SweeperHost extends Primitive {
  /** Whether this process has a waiter. */
  readonly isAwaited: boolean;
  /** Whether a permit of this process holds it. */
  holds(key: string): boolean;
  /** Entries are gone, by this process's write of the given revisions. */
  freed(entries: readonly Removed[]): void;
}

interface Shown {
  readonly entry: Entry;
  readonly ttl: number;
  /** Age by the clocks of the servers, which may differ; undefined: age does not count, or is unknown. */
  readonly age?: number | undefined;
}

interface Seen {
  readonly revision: number;
  /** Reading of the clock at the look that first showed that revision. */
  readonly since: number;
}

/**
 * Removes holds and tickets that the server forgot to expire. After a change of leader, or a restart after SIGKILL, a server may have
 * entries that ran out, or were removed, long before. It does not look at their TTL again, and every waiter would wait for them (measured
 * with nats-server 2.15 under the fault campaign).
 *
 * Nothing is removed that its holder could still rely on. The entry stands, under the same revision, for longer than its ttl since *this
 * process* saw it there, by its own monotonic clock, so its last write is older than that by every clock. It is removed only under that
 * revision. That is what the server's expiry does, but later and with more checks. Clocks of different machines do not matter.
 *
 * Tickets need not wait for that: a waiter that loses its place joins again, and no process relies on a ticket for safety. Tickets are
 * removed by the time at which, according to the servers, they were written. Clocks that differ by less than 8 s cost no waiter its place:
 * the ticket of a live waiter is younger than 4 s.
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

  /** Schedules looks for as long as there is a waiter. */
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
   * Entries that no process can rely on any more. They age from the look that first showed them: the time at which the table heard of them
   * may be the time of its request, and they may be younger than that. A hold that can not be read has no ttl, and stays.
   */
  private overdue(): Entry[] {
    const now = this.host.context.clock.now();
    this.lookedAt = now;
    const before = this.seen;
    this.seen = new Map();
    const found: Entry[] = [];
    for (const { entry, ttl, age = 0 } of this.shown()) {
      const known = before.get(entry.key);
      const seen = known?.revision === entry.revision ? known : { revision: entry.revision, since: now };
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
    // Demand notices, and tickets that can not be read: a live process writes them again sooner than that.
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
      // The server is out of reach, or denies it: other processes may do it.
      if (failure !== undefined) return;
    }
    // If others remove the same entries, the table has heard of that. Otherwise the table shows entries that do not exist.
    if (overdue.some(({ key, revision }) => table.entries.get(key)?.revision === revision)) watcher.refresh();
  }
}
