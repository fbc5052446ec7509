import type { Entry } from '../store/store';
import type { TakenSlot } from '../state/slot-table';
import { caughtUp } from '../runtime/clock';
import { handOff, planHandOff } from './hand-off-remote';
import { receiveHandOff } from '../acquire/receive-hand-off';
import { type HeldSlot, LASTING_MS, type Lease, type LeaseOwner, lastsFor } from '../lease/lease';
import type { LocalQueue } from '../acquire/local-queue';
import type { Primitive } from '../state/primitive-state';
import { LINGER_MS, type FairQueue } from '../acquire/fair-queue';
import type { Want } from '../protocol/request';

/** How long a process may pass a slot on among its own waiters before it lets the others try, in ms. */
const TURN_MS = 25;

/** Nothing heard for so long: half of what who has left listens for what is given to him. */
const SILENT_MS = LINGER_MS / 2;

/** A permit begins with more than that left, in ms, or it could not be prolonged. */
const MIN_LEFT_MS = 2 * LASTING_MS;

/** What passing on needs of the engine whose slots it passes on. */
export interface HandOffHost extends Primitive, LeaseOwner {
  /** Slots of ours are held by a lease from now on. */
  adopt(lease: Lease, entries: readonly Entry[]): void;
  /** A slot of ours is somebody else's now. */
  gave(slot: number, entry: Entry): void;
}

/**
 * What becomes of a slot when its lease is released: whoever is next takes it over by one write over it, instead of its being
 * given back and claimed again, and nobody else is woken for nothing.
 */
export class LocalHandOff {
  constructor(
    private readonly host: HandOffHost,
    private readonly line: LocalQueue,
    private readonly tickets: FairQueue,
  ) {}

  /**
   * Whoever was next may have left while this process was busy with other things than hearing of it. Undefined if there is no
   * reason to think so, or there is no one to hand anything to.
   */
  freshen(): Promise<void> | undefined {
    const { table, watcher, limit } = this.host;
    if (!watcher.live || watcher.silentFor < SILENT_MS) return undefined;
    return limit.known === undefined || table.head(limit.known) === undefined ? undefined : caughtUp();
  }

  /**
   * Those in the queue are served in its order: one of ours by a claim, one of another process by giving it the slot. Without a
   * queue this process keeps a slot among its own for {@link TURN_MS} at most, so that others are not kept out by one that is
   * always busy.
   * @returns whether the slot was still the lease's; undefined if it has to be given back
   */
  passOn(lease: Lease, held: HeldSlot): Promise<boolean> | undefined {
    const { clock } = this.host.context;
    const { deadline, turnSince, writtenAs } = lease;
    const limit = this.limitFor(held.slot);
    if (limit === undefined || clock.now() >= deadline) return undefined;
    const { table, watcher } = this.host;
    const next = watcher.live ? table.head(limit) : undefined;
    if (next !== undefined && !this.tickets.isOurs(next.id)) {
      const gift = planHandOff(next, lease, this.host.context, watcher);
      const gave = (entry: Entry): void => this.host.gave(held.slot, entry);
      return gift && handOff(this.host.context, table, lease, held, gift, gave);
    }
    const now = clock.now();
    const over = { slot: held.slot, expected: held.revision, earlier: now + lastsFor(held, now) };
    let passed = false;
    const written = new Promise<boolean>((answered, failed) => {
      const after = { permit: writtenAs, deadline, answered, failed, turnSince };
      passed =
        next !== undefined
          ? this.tickets.takeOver(limit, over, after)
          : now < turnSince + TURN_MS && this.line.takeOver(over, after);
    });
    return passed ? written : undefined;
  }

  /** Takes in a slot that was given to a ticket of ours. Undefined, and the slot given back, if it comes too late or can not stand. */
  accept(taken: TakenSlot, ticket: Lease, want: Want): Lease | undefined {
    const { hold, entry, slot } = taken;
    if (!hold.ok) return undefined;
    const { context, name } = this.host;
    const lease = receiveHandOff(context, this.host, name, taken, hold.record, ticket, want);
    this.host.adopt(lease, [entry]);
    // Everything that was stored before has been heard: a limit that whoever gave the slot did not know of, too.
    const stands = this.limitFor(slot) !== undefined && lease.remaining > MIN_LEFT_MS;
    if (lease.isHeld && !stands) context.background.add(lease.release());
    return lease.isHeld ? lease : undefined;
  }

  /** The limit under which a slot may be passed on; undefined if it may not. */
  private limitFor(slot: number): number | undefined {
    const { table, context, watcher, isClosed, keys, limit } = this.host;
    // Who writes next has to look for readers first; who reads holds no slot that another could take over.
    if (keys.kind === 'rw' || isClosed || context.store.down() !== undefined) return undefined;
    if (limit.known === undefined || slot >= limit.known) return undefined;
    return (watcher.live ? table.fits(limit.known) : !limit.mayOverhang) ? limit.known : undefined;
  }
}
