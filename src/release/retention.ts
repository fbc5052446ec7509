import type { Entry } from '../store/store';
import type { FreeSlots } from '../state/free-slots';
import { grantAgain } from './grant-again';
import { RetainedSlots, type RetainedSlotsHost, suits } from './retained-slots';
import type { Lease, LeaseOwner, RetainedHold } from '../lease/lease';
import type { Primitive } from '../state/primitive-state';
import type { Waiter } from '../acquire/waiter';
import type { Patience, Want } from '../protocol/request';
import { DemandNotice, type DemandNoticeHost } from './demand-notice';

/** What keeping slots needs of the engine whose slots they are. */
export interface RetentionHost extends Primitive, LeaseOwner, RetainedSlotsHost, DemandNoticeHost {
  readonly free: FreeSlots;
  /** Whether somebody of ours waits, or collects slots of several primitives. */
  readonly isAwaited: boolean;
  /** How many of ours collect slots of several primitives. */
  readonly collectors: number;
  /** Who would be served next of those without a place in the queue. */
  readonly next: Waiter | undefined;
  /** A permit was granted on a slot that was kept. */
  grantedAgain(lease: Lease): void;
}

/**
 * Slots that are kept after their release (`retain`): when one may be kept, when it is granted again, and when it is given up;
 * and what is said to others who keep some while we wait.
 *
 * Invariant: a slot is kept, and granted again, only while everything is known and nobody else waits, as far as has been
 * heard, and no slot is taken above a limit that was lowered. How it is kept safely, see {@link RetainedSlots}.
 */
export class Retention {
  /** Where slots are kept after a release. */
  private keeper: RetainedSlots | undefined;
  /** Where somebody has waited for slots that others keep. */
  private wish: DemandNotice | undefined;

  constructor(private readonly host: RetentionHost) {}

  /** Whether it has to hear of changes. */
  get active(): boolean {
    return this.keeper?.active === true;
  }

  /** Whether slots that were kept are being given back, or about to be written. */
  get busy(): boolean {
    return this.keeper?.busy === true;
  }

  /** A permit was granted whose slot may be kept. */
  began(): void {
    if (this.host.isClosed) return;
    this.keeper ??= new RetainedSlots(this.host);
    this.keeper.began();
    this.host.watcher.start();
  }

  /** Such a permit is over. */
  ended({ retain }: Lease): void {
    if (retain > 0) this.keeper?.ended(retain);
  }

  /** Keeps a slot that was just let go of, if nobody else waits for it, as far as we have heard: for whoever of ours is next. */
  keep(hold: RetainedHold): boolean {
    const { collectors, isAwaited, isClosed, limit, next } = this.host;
    if (this.keeper === undefined || isClosed || collectors > 0 || this.isOverlong(hold)) return false;
    if (isAwaited && (next === undefined || !suits(next.want, hold))) return false;
    if (limit.known === undefined || hold.slot >= limit.known || !this.mayKeep(limit.known)) return false;
    this.keeper.keep(hold);
    return true;
  }

  /** A permit on a slot that was kept, for somebody who asks while nobody waits: without a write, a waiter or a timer. */
  atOnce(want: Want, { signal }: Patience): Lease | undefined {
    const limit = this.host.limit.known;
    if (this.keeper === undefined || this.keeper.size === 0 || limit === undefined) return undefined;
    if (this.host.isAwaited || signal?.aborted === true) return undefined;
    return want.slots === undefined || want.slots === limit
      ? this.grant(this.keeper, want, limit)
      : undefined;
  }

  /** Gives what is kept to those who wait here; what none of them can use is given back, for them to claim. */
  serve(limit: number): void {
    const { keeper } = this;
    while (keeper !== undefined && keeper.size > 0) {
      const waiter = this.host.next;
      if (waiter === undefined) return;
      const lease = this.grant(keeper, waiter.want, limit);
      if (lease !== undefined) waiter.settle(lease);
      else if (keeper.busy) return;
      else keeper.giveBackAll();
    }
  }

  /** Gives up what is kept if somebody else waits, or must not be kept under the limit in force. */
  yieldToOthers(): void {
    if (this.keeper === undefined || this.keeper.size === 0) return;
    const { table, limit } = this.host;
    if (limit.known !== undefined && (this.othersWait(limit.known) || !table.fits(limit.known)))
      this.keeper.giveBackAll();
  }

  giveBackAll(): void {
    this.keeper?.giveBackAll();
  }

  /** Tells others that somebody waits for what they keep, or no longer does. */
  express(): void {
    const { table, collectors, free, next, waits } = this.host;
    if (this.wish === undefined && (table.retaining.size === 0 || !waits)) return;
    // What is free, or being claimed, may be all that is wanted.
    const one = waits && collectors === 0 && next?.want.count === 1;
    if (one && (free.claiming || free.now().length > 0)) return;
    this.wish ??= new DemandNotice(this.host);
    this.wish.look();
  }

  /** Takes the demand notice back if nobody waits. */
  rest(): void {
    if (!this.host.waits) this.wish?.look();
  }

  /** An entry as others are to see it, of a slot that is kept; undefined for any other. */
  shown(entry: Entry): string | undefined {
    return this.keeper?.shown(entry);
  }

  /** Whether entries may have to be shown otherwise than they are. */
  get everKept(): boolean {
    return this.keeper !== undefined;
  }

  /** What is under a key changed. */
  heard(key: string, entry: Entry): void {
    this.keeper?.heard(key, entry);
  }

  /** Everything was read. */
  compareAll(): void {
    this.keeper?.compareAll();
  }

  /** The store lost everything. */
  dropAll(): void {
    this.keeper?.dropAll();
  }

  close(): void {
    this.keeper?.close();
  }

  /**
   * Whether this process has had the slot for so long that others get their chance. Those that this process knows of were served
   * before; others may wait without a demand notice, as a client that only watches the slot does, or their notice was lost.
   */
  private isOverlong({ retain, turnSince }: RetainedHold): boolean {
    return this.host.context.clock.now() - turnSince > retain;
  }

  private grant(keeper: RetainedSlots, want: Want, limit: number): Lease | undefined {
    const { context, name } = this.host;
    const kept = this.mayKeep(limit) ? keeper.take(want, limit) : undefined;
    if (kept === undefined) return undefined;
    const lease = grantAgain(context, this.host, name, kept.hold, want, kept.keptAt);
    this.host.grantedAgain(lease);
    if (lease.retain > 0) keeper.began();
    return lease;
  }

  /** Whether slots may be kept, and granted again. */
  private mayKeep(limit: number): boolean {
    const { table, context, watcher } = this.host;
    return watcher.live && context.store.down() === undefined && table.fits(limit) && !this.othersWait(limit);
  }

  private othersWait(limit: number): boolean {
    const { table } = this.host;
    if (table.head(limit) !== undefined) return true;
    for (const id of table.wishes) if (this.wish?.isOurs(id) !== true) return true;
    return false;
  }
}
