import { type Entry, storedTtl } from '../store/store';
import type { Board } from './board';
import type { Context } from './context';

/** How much longer than its ttl an entry may stand before we remove it, in ms. The server expires it within a second. */
const SLACK_MS = 2_000;
/** At most this often. */
const LOOK_MS = 1_000;
/** How long a removal is tried; there will be another look. */
const REMOVAL_MS = 2_000;
/** A change of leader may bring back hundreds. */
const REMOVALS_AT_ONCE = 50;

/** What it needs of the engine whose waiters it works for. */
export interface SweeperHost {
  readonly context: Context;
  readonly board: Board;
  /** Whether somebody of ours waits. */
  readonly isAwaited: boolean;
  /** Whether the board shows everything. */
  readonly live: boolean;
  /** Whether it is held by a permit of ours. */
  holds(key: string): boolean;
  /** How long ago the store wrote it, in ms, by its own clock; Infinity if that can not be told. */
  ageOf(entry: Entry): number;
  /** An entry is gone by our own write. */
  swept(): void;
  /** The board shows something that is not there. */
  disproved(): void;
}

interface Shown {
  readonly entry: Entry;
  readonly ttl: number;
  /** By the clocks of the servers, which may differ. */
  readonly age?: number;
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
export class Sweeper {
  private cancelLook: (() => void) | undefined;
  private sweeping = false;
  /** What the board showed at the last look, and since when it had by then. */
  private seen = new Map<string, Seen>();

  constructor(private readonly host: SweeperHost) {}

  /** Sees to it that there will be a look while somebody waits. */
  start(): void {
    if (this.cancelLook !== undefined || this.sweeping) return;
    this.cancelLook = this.host.context.clock.after(LOOK_MS, () => {
      this.cancelLook = undefined;
      this.look();
    });
  }

  stop(): void {
    this.cancelLook?.();
    this.cancelLook = undefined;
    if (this.seen.size > 0) this.seen = new Map();
  }

  private look(): void {
    const { context, isAwaited, live } = this.host;
    if (!isAwaited) return;
    const overdue = live ? this.overdue() : [];
    if (overdue.length === 0) return this.start();
    this.sweeping = true;
    context.background.add(
      this.remove(overdue)
        // Out of reach, or not allowed to: others may do it.
        .catch(() => undefined)
        .finally(() => {
          this.sweeping = false;
          this.start();
        }),
    );
  }

  /**
   * Those that nobody can believe in any more. They age from the look that first showed them: when the board says that it heard
   * of them may be when it asked, and they may be younger than that. What can not be read has no ttl, and stays.
   */
  private overdue(): Entry[] {
    const now = this.host.context.clock.now();
    const before = this.seen;
    this.seen = new Map();
    const found: Entry[] = [];
    for (const { entry, ttl, age = 0 } of this.shown()) {
      const known = before.get(entry.key);
      const seen = known?.entry.revision === entry.revision ? known : { entry, since: now };
      this.seen.set(entry.key, seen);
      const stands = Math.max(now - seen.since, age === Infinity ? 0 : age);
      if (stands > storedTtl(ttl) + SLACK_MS && !this.host.holds(entry.key)) found.push(entry);
    }
    return found;
  }

  private *shown(): Generator<Shown> {
    const { board } = this.host;
    for (const holds of [board.taken, board.readers])
      for (const { entry, hold } of holds.values()) if (hold.ok) yield { entry, ttl: hold.record.ttl };
    for (const { entry, ticket } of board.tickets)
      yield { entry, ttl: ticket.ttl, age: this.host.ageOf(entry) };
  }

  private async remove(overdue: readonly Entry[]): Promise<void> {
    for (let i = 0; i < overdue.length; i += REMOVALS_AT_ONCE) {
      const some = overdue.slice(i, i + REMOVALS_AT_ONCE);
      await Promise.all(some.map((entry) => this.removeOne(entry)));
    }
    // Others remove the same, and then it was heard of.
    if (overdue.some(({ key, revision }) => this.host.board.picture.get(key)?.revision === revision))
      this.host.disproved();
  }

  private async removeOne({ key, revision }: Entry): Promise<void> {
    const { board, context } = this.host;
    const { clock, store } = context;
    const write = { key, expected: revision, value: null };
    const result = await store.commit([write], { until: clock.now() + REMOVAL_MS });
    if (!result.committed) return;
    const gone = { key, revision: result.revisions[0] as number, value: null, writtenAt: clock.wallTime() };
    if (board.apply(gone, clock.now())) this.host.swept();
  }
}
