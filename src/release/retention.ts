import type { Entry } from '../store/store';
import type { FreeSlots } from '../state/free-slots';
import { grantAgain } from './grant-again';
import { RetainedSlots, type RetainedSlotsHost, suits } from './retained-slots';
import type { Lease, LeaseOwner, RetainedHold } from '../lease/lease';
import type { Primitive } from '../state/primitive-state';
import type { Waiter } from '../acquire/waiter';
import type { Patience, Want } from '../protocol/request';
import { DemandNotice, type DemandNoticeHost } from './demand-notice';

/** What retaining slots needs of the engine that owns them. */
export interface RetentionHost extends Primitive, LeaseOwner, RetainedSlotsHost, DemandNoticeHost {
  readonly free: FreeSlots;
  /** Whether this process has a waiter, or an acquire of several primitives. */
  readonly isAwaited: boolean;
  /** How many acquires of several primitives this process has. */
  readonly collectors: number;
  /** The waiter to serve next of those without a place in the queue. */
  readonly next: Waiter | undefined;
  /** A permit was granted on a slot that was retained. */
  grantedAgain(lease: Lease): void;
}

/**
 * Slots that are retained after their release (`retain`): decides when one may be retained, when it is granted again, and when it is given
 * up; and writes a demand notice to other processes that retain slots while this process waits.
 *
 * Invariant: a slot is retained, and granted again, only while everything is known and this process has heard of no waiter elsewhere, and
 * no slot is taken above a limit that was lowered. How it is retained safely, see {@link RetainedSlots}.
 */
export class Retention {
  /** Set where slots are retained after a release. */
  private keeper: RetainedSlots | undefined;
  /** Set where a waiter has waited for slots that others retain. */
  private wish: DemandNotice | undefined;

  constructor(private readonly host: RetentionHost) {}

  /** Whether it needs to hear of changes. */
  get active(): boolean {
    return this.keeper?.active === true;
  }

  /** Whether retained slots are being given back, or about to be written. */
  get busy(): boolean {
    return this.keeper?.busy === true;
  }

  /** A permit was granted whose slot may be retained. */
  began(): void {
    if (this.host.isClosed) return;
    this.keeper ??= new RetainedSlots(this.host);
    this.keeper.began();
    this.host.watcher.start();
  }

  /** Such a permit has ended. */
  ended({ retain }: Lease): void {
    if (retain > 0) this.keeper?.ended(retain);
  }

  /** Retains a slot that was just released for the next waiter of this process, if this process has heard of no other waiter. */
  keep(hold: RetainedHold): boolean {
    const { collectors, isAwaited, isClosed, limit, next } = this.host;
    if (this.keeper === undefined || isClosed || collectors > 0 || this.isOverlong(hold)) return false;
    if (isAwaited && (next === undefined || !suits(next.want, hold))) return false;
    if (limit.known === undefined || hold.slot >= limit.known || !this.mayKeep(limit.known)) return false;
    this.keeper.keep(hold);
    return true;
  }

  /** A permit on a retained slot, for a caller that asks while there is no waiter: without a write, a waiter or a timer. */
  atOnce(want: Want, { signal }: Patience): Lease | undefined {
    const limit = this.host.limit.known;
    if (this.keeper === undefined || this.keeper.size === 0 || limit === undefined) return undefined;
    if (this.host.isAwaited || signal?.aborted === true) return undefined;
    return want.slots === undefined || want.slots === limit
      ? this.grant(this.keeper, want, limit)
      : undefined;
  }

  /** Grants retained slots to waiters of this process; gives back those that no waiter can use, so that the waiters can claim them. */
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

  /** Gives up retained slots if another process waits, or if they must not be retained under the limit in force. */
  yieldToOthers(): void {
    if (this.keeper === undefined || this.keeper.size === 0) return;
    const { table, limit } = this.host;
    if (limit.known !== undefined && (this.othersWait(limit.known) || !table.fits(limit.known)))
      this.keeper.giveBackAll();
  }

  giveBackAll(): void {
    this.keeper?.giveBackAll();
  }

  /** Writes a demand notice if a waiter here needs slots that others retain, and removes it when there is none. */
  express(): void {
    const { table, collectors, free, next, waits } = this.host;
    if (this.wish === undefined && (table.retaining.size === 0 || !waits)) return;
    // The slots that are free, or being claimed, may be enough.
    const one = waits && collectors === 0 && next?.want.count === 1;
    if (one && (free.claiming || free.now().length > 0)) return;
    this.wish ??= new DemandNotice(this.host);
    this.wish.look();
  }

  /** Removes the demand notice if there is no waiter. */
  rest(): void {
    if (!this.host.waits) this.wish?.look();
  }

  /** The entry of a retained slot in the form that status views show; undefined for any other. */
  shown(entry: Entry): string | undefined {
    return this.keeper?.shown(entry);
  }

  /** Whether entries may have to be shown in another form. */
  get everKept(): boolean {
    return this.keeper !== undefined;
  }

  /** The entry under a key changed. */
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
   * Whether this process has had the slot for so long that other processes get their chance. Waiters that this process knows of were served
   * before. Others may wait without a demand notice, as a client that only watches the slot does, or their notice was lost.
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

  /** Whether slots may be retained, and granted again. */
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
