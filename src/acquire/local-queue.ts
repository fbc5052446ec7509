import { Abort, type Aborting } from '../runtime/cancellation';
import type { SlotTable, TakenSlot } from '../state/slot-table';
import type { FreeSlots } from '../state/free-slots';
import type { Keys } from '../protocol/keys';
import { MAX_READS_UNDERWAY, planClaims, planReads } from './claim-plan';
import type { FreeSlot } from '../state/grantable';
import type { Lease, Succession } from '../lease/lease';
import type { Primitive } from '../state/primitive-state';
import { corrupt, nothingFree } from '../state/refusals';
import { MAX_AT_ONCE } from '../protocol/records';
import type { Waiter } from './waiter';
import type { Want } from '../protocol/request';

/** What the waiters need of the engine that serves them. */
export interface QueueHost extends Primitive {
  readonly free: FreeSlots;
  /** Tries once to take slots. @param ticket that it serves */
  readonly grab: (
    slots: readonly FreeSlot[],
    want: Want,
    abandon: Aborting | undefined,
    ticket?: string,
    after?: Succession & { readonly turnSince: number },
  ) => Promise<Lease | undefined>;
  /**
   * Waits until a permit is valid that was granted on a condition: to write, once the readers are gone. Resolves with undefined, and the
   * lease given back, if it was lost meanwhile or is no longer wanted.
   */
  readonly settleIn: (lease: Lease, want: Want, abandon: Aborting | undefined) => Promise<Lease | undefined>;
  /**
   * Accepts a slot that was handed off to a ticket of this process. Undefined, and the slot given back, if the process heard of it too
   * late, or the limit had been lowered before.
   */
  readonly accept: (taken: TakenSlot, ticket: Lease, want: Want) => Lease | undefined;
  /** The state has changed: serve all waiters that can be served. */
  readonly pump: () => void;
}

interface Claim {
  readonly shape: string;
  readonly abandon: Abort;
}

/**
 * The waiters of this process without a ticket: not fair, or acquires that do not wait at all.
 *
 * Invariant: they are served in the order in which they joined. Claims are made for the waiters at the front as long as they are alike in
 * what they would write. A claim belongs to none of them, and when it succeeds the first of them gets it.
 */
export class LocalQueue {
  private readonly queue: Waiter[] = [];
  private readonly claims = new Set<Claim>();
  /** How many wait for a claim of each shape. */
  private readonly shapes = new Map<string, number>();
  private impatient = 0;

  constructor(private readonly host: QueueHost) {}

  get waiters(): readonly Waiter[] {
    return this.queue;
  }

  /** Whether a waiter here accepts to wait. */
  get patient(): boolean {
    return this.queue.length > this.impatient;
  }

  add(waiter: Waiter): void {
    this.queue.push(waiter);
    this.shapes.set(waiter.shape, (this.shapes.get(waiter.shape) ?? 0) + 1);
    if (waiter.immediate) this.impatient++;
  }

  remove(waiter: Waiter): void {
    const index = this.queue.indexOf(waiter);
    if (index < 0) return;
    this.queue.splice(index, 1);
    const alike = (this.shapes.get(waiter.shape) ?? 0) - 1;
    if (alike > 0) this.shapes.set(waiter.shape, alike);
    else this.shapes.delete(waiter.shape);
    if (waiter.immediate) this.impatient--;
    this.abandonSpareClaims();
    // It may have kept the others waiting. Not at once: it may be leaving while they are being served.
    if (index === 0 && this.queue.length > 0) queueMicrotask(this.host.pump);
  }

  /** Claims the free slots for the waiters at the front. */
  serve(limit: number): void {
    const head = this.queue[0];
    if (head === undefined) return;
    const { watcher, free } = this.host;
    const { live, running } = watcher;
    watcher.watch(true);
    // While everything is being read again, the known state is most likely wrong.
    if (running && !live) return;
    if (head.want.count === 'all free') return this.drain(head);
    if (head.immediate && head.want.mode === 'write') {
      // A waiter that does not wait delays no other for it: it looks first.
      if (!live) return watcher.start();
      if (this.host.table.readers.size > 0) return this.refuseHopeless(limit);
    }
    const reads = head.want.mode === 'read';
    const slots = live ? free.spread() : free.remembered();
    const wants = this.unclaimed(head.shape, reads ? MAX_READS_UNDERWAY : slots.length);
    const plans = reads ? planReads(slots, wants, this.claims.size) : planClaims(slots, wants);
    for (const plan of plans) this.host.context.background.add(this.claim(head, plan));
    if (live) this.refuseHopeless(limit);
    else if (this.claims.size === 0 || (!reads && plans.length < wants.length)) watcher.start();
  }

  /** Takes over the slot of a lease that ends, for the first waiter if it wants one slot. Returns false if it does not. */
  takeOver(slot: FreeSlot, after: Succession & { readonly turnSince: number }): boolean {
    const head = this.queue[0];
    if (head === undefined || head.want.count !== 1 || this.unclaimed(head.shape, 1).length === 0)
      return false;
    this.host.context.background.add(this.claim(head, [slot], after));
    return true;
  }

  /** What the waiters of one shape at the front want, `most` at most, less one for each claim already under way for them. */
  private unclaimed(shape: string, most: number): { count: number }[] {
    let underway = 0;
    for (const claim of this.claims) if (claim.shape === shape) underway++;
    const wants: { count: number }[] = [];
    for (const { shape: own, want } of this.queue) {
      if (own !== shape || want.count === 'all free' || wants.length > most) break;
      if (underway-- <= 0) wants.push({ count: want.count });
    }
    return wants;
  }

  private async claim(
    { shape, want }: Waiter,
    slots: readonly FreeSlot[],
    after?: Succession & { readonly turnSince: number },
  ): Promise<void> {
    const claim: Claim = { shape, abandon: new Abort() };
    this.claims.add(claim);
    try {
      // A write over a hold is never given up half-way: the slot would stay taken.
      const abandon = after === undefined ? claim.abandon.signal : undefined;
      const granted = await this.host.grab(slots, want, abandon, undefined, after);
      const lease = granted && (await this.host.settleIn(granted, want, abandon));
      this.claims.delete(claim);
      const first = this.firstIfOf(shape);
      if (lease !== undefined && first !== undefined) first.settle(lease);
      else if (lease !== undefined) this.host.context.background.add(lease.release());
    } catch (error) {
      this.claims.delete(claim);
      // If a slot could not be taken over, the release that offered it handles the error.
      if (after === undefined) this.firstIfOf(shape)?.settle(error as Error);
    }
    this.host.pump();
  }

  /** Takes all that is free for a waiter that does not wait. */
  private drain(waiter: Waiter): void {
    const { table, context, watcher, free, name } = this.host;
    if (!watcher.live) return watcher.start();
    if ([...this.claims].some(({ shape }) => shape === waiter.shape)) return;
    const slots = free.now();
    if (slots.length > 0) context.background.add(this.claim(waiter, slots.slice(0, MAX_AT_ONCE)));
    else if (!watcher.covers(waiter.joinedAt)) watcher.refresh();
    else if (!free.claiming) waiter.settle(nothingFree(name, table));
  }

  /** Ends waiters that do not wait, and those that wait in vain. */
  private refuseHopeless(limit: number): void {
    const { table, watcher, keys, name } = this.host;
    if (table.corrupt.size === 0 && this.impatient === 0) return;
    const underway = new Map<string, number>();
    for (const { shape } of this.claims) underway.set(shape, (underway.get(shape) ?? 0) + 1);
    for (const waiter of [...this.queue]) {
      const claims = underway.get(waiter.shape) ?? 0;
      underway.set(waiter.shape, claims - 1);
      const unreadable = unreadablePlaces(table, keys, limit, waiter.want);
      const [first] = unreadable;
      const { count, mode } = waiter.want;
      if (first !== undefined && count !== 'all free' && limit - unreadable.length < count) {
        waiter.settle(corrupt(name, ...first));
      } else if (waiter.immediate && (claims <= 0 || (mode === 'write' && table.readers.size > 0))) {
        // The lock is open to readers: its turn comes with the next answer.
        if (mode === 'read' && this.host.free.now().length > 0) continue;
        // Slots that became free just before the request may not have been announced yet.
        if (!watcher.covers(waiter.joinedAt)) return watcher.refresh();
        waiter.settle(nothingFree(name, table));
      }
    }
  }

  /** The first of all waiters, if it is of that shape: others of it may stand behind a waiter that came before them. */
  private firstIfOf(shape: string): Waiter | undefined {
    const [first] = this.queue;
    return first?.shape === shape ? first : undefined;
  }

  /** Gives up claims without a waiter. Those that succeed all the same are released. */
  private abandonSpareClaims(): void {
    if (this.claims.size === 0) return;
    const left = new Map<string, number>();
    for (const claim of this.claims) {
      const waiting = left.get(claim.shape) ?? this.shapes.get(claim.shape) ?? 0;
      if (waiting === 0) claim.abandon.abort();
      left.set(claim.shape, Math.max(0, waiting - 1));
    }
  }
}

/** Slots below the limit, and places of readers, that stay taken until an operator removes the unreadable entries there. */
export function unreadablePlaces(
  table: SlotTable,
  keys: Keys,
  limit: number,
  { mode }: Want,
): (readonly [key: string, reason: string])[] {
  if (table.corrupt.size === 0) return [];
  return [...table.corrupt].filter(([key]) => {
    const part = keys.parse(key);
    return (part?.part === 'slot' && part.slot < limit) || (part?.part === 'reader' && mode === 'write');
  });
}
