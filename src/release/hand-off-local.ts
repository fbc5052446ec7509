import { lastsFor } from '../store/remove-entries';
import type { Entry } from '../store/store';
import type { TakenSlot } from '../state/slot-table';
import { caughtUp } from '../runtime/clock';
import { handOff, planHandOff } from './hand-off-remote';
import { receiveHandOff } from '../acquire/receive-hand-off';
import { type HeldSlot, LASTING_MS, type Lease, type LeaseOwner } from '../lease/lease';
import type { LocalQueue } from '../acquire/local-queue';
import type { Primitive } from '../state/primitive-state';
import { LINGER_MS, type FairQueue } from '../acquire/fair-queue';
import type { Want } from '../protocol/request';

/** How long a process may hand a slot off among its own waiters before it lets other processes try, in ms. */
const TURN_MS = 25;

/** No message for that long counts as silence: half of the time for which a departed waiter listens for hand-offs. */
const SILENT_MS = LINGER_MS / 2;

/** A permit begins with more than that left, in ms, or it could not be renewed in time. */
const MIN_LEFT_MS = 2 * LASTING_MS;

/** What a hand-off needs of the engine whose slots it hands off. */
export interface HandOffHost extends Primitive, LeaseOwner {
  /** From now on a lease holds these slots of this process. */
  adopt(lease: Lease, entries: readonly Entry[]): void;
  /** A slot of this process now belongs to another holder. */
  gave(slot: number, entry: Entry): void;
}

/**
 * Decides what happens to a slot when its lease is released: the next waiter takes it over by one write over it. The slot is not given back
 * and claimed again, and no other waiter is woken for nothing.
 */
export class LocalHandOff {
  constructor(
    private readonly host: HandOffHost,
    private readonly line: LocalQueue,
    private readonly tickets: FairQueue,
  ) {}

  /**
   * Lets this process catch up, since the next waiter may have left while this process was busy with other work. Undefined if that is not
   * needed, or there is no waiter to hand off to.
   */
  freshen(): Promise<void> | undefined {
    const { table, watcher, limit } = this.host;
    if (!watcher.live || watcher.silentFor < SILENT_MS) return undefined;
    return limit.known === undefined || table.head(limit.known) === undefined ? undefined : caughtUp();
  }

  /**
   * Serves waiters in the queue in its order: one of this process by a claim, one of another process by handing the slot off. Without a
   * queue this process hands a slot off among its own waiters for {@link TURN_MS} at most, so that a process which is always busy does not
   * keep the others out.
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

  /**
   * Accepts a slot that was handed off to a ticket of this process. Undefined, and the slot given back, if it comes too late or can not
   * stand.
   */
  accept(taken: TakenSlot, ticket: Lease, want: Want): Lease | undefined {
    const { hold, entry, slot } = taken;
    if (!hold.ok) return undefined;
    const { context, name } = this.host;
    const lease = receiveHandOff(context, this.host, name, taken, hold.record, ticket, want);
    this.host.adopt(lease, [entry]);
    // All that was stored before has been heard: also a limit that the process that handed the slot off did not know of.
    const stands = this.limitFor(slot) !== undefined && lease.remaining > MIN_LEFT_MS;
    if (lease.isHeld && !stands) context.background.add(lease.release());
    return lease.isHeld ? lease : undefined;
  }

  /** The limit under which a slot may be handed off; undefined if it may not. */
  private limitFor(slot: number): number | undefined {
    const { table, context, watcher, isClosed, keys, limit } = this.host;
    // The next writer has to look for readers first; a reader holds no slot that another could take over.
    if (keys.kind === 'rw' || isClosed || context.store.down() !== undefined) return undefined;
    if (limit.known === undefined || slot >= limit.known) return undefined;
    return (watcher.live ? table.fits(limit.known) : !limit.mayOverhang) ? limit.known : undefined;
  }
}
