import {
  AcquireTimeoutError,
  BackendUnavailableError,
  CorruptEntryError,
  DispatcherClosedError,
  LimitConflictError,
} from '../errors';
import type { Entry } from '../store/store';
import { backoff } from './backoff';
import { Board } from './board';
import { sleep } from './clock';
import type { Context } from './context';
import { Feed } from './feed';
import { grab } from './grab';
import type { Keys } from './keys';
import type { Lease, LeaseOwner } from './lease';
import { LimitStore } from './limit';
import { type FreeSlot, freeSlots, planClaims } from './plan';
import { type Place, joinQueue } from './tickets';
import { type Patience, Waiter, type Want, unavailable } from './waiter';

interface Claim {
  readonly shape: string;
  readonly abandon: AbortController;
}

/** Slots for which a claim is under way. */
export interface Reservation {
  /** The claim was answered. */
  end(): void;
  bucketReplaced(): boolean;
  /** Whether the limit was lowered after the claim was decided and before it was written under `revision`. */
  limitLoweredBefore(revision: number): boolean;
}

/** A hold that lasts longer than this listens for what others do to its slots. */
const LISTEN_AFTER_MS = 100;
/** A forced release races the holder's renewals: it may need a second look. */
const FORCE_TRIES = 20;
const FORCE_WAIT_MS = 10_000;
/** How many free slots to remember between uses. */
const REMEMBERED_SLOTS = 16;

/**
 * The one algorithm: everything that this process does to the slots of one primitive.
 *
 * Invariants:
 * - A slot is claimed only by a write that expects it free, at the revision last known of it; the store lets one of several
 *   win. Knowledge that is out of date costs a refused write, never a second holder.
 * - Slots are claimed only below the limit, less what is still held above it ({@link grantable}); a claim that raced a
 *   lowering of the limit is taken back before anyone is told of it.
 * - A fair waiter is granted only when its ticket is the first of those that are not yet served. The board knows of every
 *   ticket older than its own: each was announced before the answer that created its own.
 * - Waiters of this process that queue without tickets are served in the order in which they joined.
 *
 * What is known comes from own writes or, while somebody waits or holds for long, from a {@link Feed}.
 */
export class Engine implements LeaseOwner {
  readonly board: Board;
  private readonly feed: Feed;
  private readonly limits: LimitStore;
  /** Who waits without a ticket: unfair, or unwilling to wait at all. */
  private readonly queue: Waiter[] = [];
  /** Who waits with a ticket, by its id; and who is about to get one, with how to stop that once it is asked for. */
  private readonly placed = new Map<string, { waiter: Waiter; place: Place }>();
  private readonly placeOf = new Map<Waiter, Place>();
  private readonly joining = new Map<Waiter, AbortController | undefined>();
  /** Those whose wish has not been compared with the limit in force. */
  private readonly unchecked = new Set<Waiter>();
  /** How many wait without a ticket: for a claim of each shape, and those who will not wait at all. */
  private readonly shapes = new Map<string, number>();
  private impatient = 0;
  private readonly claims = new Set<Claim>();
  private readonly reserved = new Set<readonly FreeSlot[]>();
  private fairClaim: { readonly waiter: Waiter; readonly abandon: AbortController } | undefined;
  /** Permits in force, each with how to stop listening on its behalf. */
  private readonly leases = new Map<Lease, () => void>();
  private readonly leaseOfKey = new Map<string, Lease>();
  /** Slots of which a refused claim showed that the board is behind; not tried again until it has caught up. */
  private readonly outdated = new Map<string, number>();
  /** Those who need the board kept up to date for a reason of their own. */
  private readonly observers = new Set<() => void>();
  private listeners = 0;
  private lastAnswerAt = -Infinity;
  private generation = 0;
  private learning = false;
  /** Whether the limit is known to be that which is stored. */
  private limitKnown = false;
  private lastLimit: number | undefined;
  /** The latest revisions at which the limit was lowered. */
  private lowered: number[] = [];
  /** Whether slots above the limit may still be held, as after it was lowered; until everything was read, nobody knows. */
  private mayOverhang = true;
  private closed = false;

  constructor(
    private readonly context: Context,
    readonly name: string,
    readonly keys: Keys,
  ) {
    this.board = new Board(keys);
    this.limits = new LimitStore(context, name, keys, this.board);
    this.feed = new Feed(context.store, context.clock, this.board.picture, [keys.all], this, context.counts);
  }

  /** Whether nobody waits, holds or looks here, so that it can be forgotten. */
  get idle(): boolean {
    return this.unwanted && this.leases.size === 0;
  }

  // ---- acquiring

  /**
   * Waits for a permit.
   * @throws AcquireTimeoutError, BackendUnavailableError, CorruptEntryError, DispatcherClosedError, LimitConflictError,
   *   RangeError for more slots than there are, the signal's reason, and what opening the store throws
   */
  acquire(want: Want, patience: Patience): Promise<Lease> {
    if (this.closed) return Promise.reject(this.closedError());
    const { clock, store } = this.context;
    const waiter = new Waiter(
      clock,
      want,
      patience,
      (late, ms) => this.timedOut(late, ms),
      (leaver) => this.left(leaver),
    );
    const trouble = waiter.immediate ? store.trouble() : undefined;
    if (trouble !== undefined) waiter.settle(unavailable(this.name, 0, trouble));
    if (waiter.settled) return waiter.result;
    this.unchecked.add(waiter);
    if (want.fair && !waiter.immediate) this.joining.set(waiter, undefined);
    else this.enqueue(waiter);
    this.pump();
    return waiter.result;
  }

  /**
   * Slots that could be claimed for somebody who wants `count` now; undefined if that many are not to be had.
   * @param behindQueue not while anybody waits with a ticket
   */
  offer(count: number, behindQueue: boolean): FreeSlot[] | undefined {
    const limit = this.knownLimit();
    if (limit === undefined || !this.feed.live) return undefined;
    if (behindQueue && this.board.head !== undefined) return undefined;
    const free = this.usable(freeSlots(this.board, this.keys, limit, this.context.clock.now()));
    return free.length < count ? undefined : free.slice(0, count);
  }

  reserve(slots: readonly FreeSlot[]): Reservation {
    const { generation } = this;
    const decidedBy = this.board.limit?.revision ?? 0;
    this.reserved.add(slots);
    return {
      end: () => {
        this.reserved.delete(slots);
        this.lastAnswerAt = this.context.clock.now();
      },
      bucketReplaced: () => generation !== this.generation,
      limitLoweredBefore: (claimed) =>
        this.lowered.some((revision) => decidedBy < revision && revision < claimed),
    };
  }

  /** Claims were refused. `actual`: the last revision of the slot, where it was one and the store said it. */
  refused(slots: readonly FreeSlot[], actual: number | undefined): void {
    const [only] = slots;
    if (slots.length > 1 || only === undefined || actual === undefined) {
      // Which of several it was is not said, and a marker that went away is never announced.
      if (this.feed.running) this.feed.refresh();
      else this.feed.start();
      return;
    }
    const key = this.keys.slot(only.slot);
    if (this.board.picture.learnRevision(key, actual, this.context.clock.now())) return;
    if ((this.board.picture.get(key)?.revision ?? 0) < actual) this.outdated.set(key, actual);
  }

  /** Slots of ours are held by a lease from now on. */
  adopt(lease: Lease, entries: readonly Entry[]): void {
    const now = this.context.clock.now();
    for (const entry of entries) {
      this.board.apply(entry, now);
      this.leaseOfKey.set(entry.key, lease);
    }
    this.leases.set(lease, this.listenFor(lease, entries));
  }

  // ---- the limit

  /** The limit in force; asks the store if it has to. Undefined: none is stored. */
  async storedLimit(): Promise<number | undefined> {
    if (!this.limitKnown) await this.limits.read();
    const stored = this.board.limit?.limit;
    if (stored?.ok === false) throw this.corruptError(this.keys.limit, stored.reason);
    return stored?.record.slots;
  }

  /** Finds out the limit for somebody who does not queue here, and stores it if none is. */
  async agree(want: Want, count: number): Promise<void> {
    if (this.knownLimit() === undefined) {
      await this.settleLimit(want);
      this.limitChanged();
    }
    const limit = this.knownLimit();
    if (limit === undefined) return;
    const { slots, limitPolicy } = want;
    if (slots !== undefined && limitPolicy === 'error' && !this.limits.agreed(slots, limit)) {
      throw this.conflictError(slots, limit);
    }
    if (count > limit) throw tooMany(this.name, count, limit);
  }

  /** Stores what `change` makes of the limit. Resolves with the limit in force afterwards, and whether it was changed. */
  async changeLimit(
    change: (stored: number | undefined) => number | undefined,
  ): Promise<{ slots: number | undefined; changed: boolean }> {
    const outcome = await this.limits.change(change);
    this.limitKnown = true;
    this.limitChanged();
    return outcome;
  }

  /** The store announced a limit. */
  limitAnnounced(entry: Entry): void {
    if (this.board.apply(entry, this.context.clock.now())) this.limitChanged();
  }

  /** Announcements of limits may have been missed. */
  limitUncertain(): void {
    this.limitKnown = false;
    this.pump();
  }

  // ---- looking

  /** A board that shows everything, as fresh as any write or announcement seen before. */
  async look(): Promise<Board> {
    if (this.feed.live) return this.board;
    const { clock, store } = this.context;
    const askedAt = clock.now();
    const seen = new Board(this.keys);
    for (const entry of await store.read([this.keys.all])) seen.apply(entry, askedAt);
    return seen;
  }

  /** Keeps the board up to date, and calls back whenever it changes. Returns how to stop that. */
  observe(callback: () => void): () => void {
    this.observers.add(callback);
    this.feed.watch(true);
    this.feed.start();
    return () => {
      this.observers.delete(callback);
      this.rest();
    };
  }

  get live(): boolean {
    return this.feed.live;
  }

  /** Takes a permit away from whoever holds it. Resolves with whether there was one. */
  async forceRelease(permitId: string): Promise<boolean> {
    let found = false;
    for (let tries = 0; tries < FORCE_TRIES; tries++) {
      const board = await this.look();
      const held = [...board.taken.values()].filter(({ hold }) => hold.ok && hold.record.permit === permitId);
      if (held.length === 0) return found;
      found = true;
      // Refused where the holder renewed meanwhile: look again.
      await Promise.all(
        held.map(({ entry }) =>
          this.context.store.commit([{ key: entry.key, expected: entry.revision, value: null }], {
            until: this.context.clock.now() + FORCE_WAIT_MS,
          }),
        ),
      );
    }
    return found;
  }

  /** @throws DispatcherClosedError */
  checkOpen(): void {
    if (this.closed) throw this.closedError();
  }

  // ---- ends

  /** The store lost all entries at once. */
  reset(): void {
    this.generation++;
    this.limitKnown = false;
    this.board.picture.clear();
    this.outdated.clear();
    for (const lease of [...this.leases.keys()]) lease.lose('the bucket was deleted or replaced');
    for (const { place } of [...this.placed.values()]) place.lease.lose('the bucket was deleted or replaced');
    this.pump();
  }

  /** Refuses all who wait and releases all that is held. */
  async close(): Promise<void> {
    this.closed = true;
    this.refuseAll(this.closedError());
    await Promise.allSettled([...this.leases.keys()].map((lease) => lease.release()));
    for (const observer of [...this.observers]) observer();
    this.observers.clear();
    this.feed.stop();
  }

  // ---- of the feed

  changed(entry?: Entry): void {
    this.lastAnswerAt = this.context.clock.now();
    if (entry === undefined) {
      // Everything was read: whatever a refused claim had shown us to miss is on the board now.
      this.outdated.clear();
      for (const key of [...this.leaseOfKey.keys()]) this.inform(key, this.board.picture.get(key));
      for (const { place } of [...this.placed.values()]) this.informTicket(place);
    } else if (entry.key === this.keys.limit) {
      return this.limitChanged();
    } else {
      this.inform(entry.key, entry);
      const part = this.keys.parse(entry.key);
      const own = part?.part === 'ticket' ? this.placed.get(part.id) : undefined;
      own?.place.lease.observe(entry);
    }
    for (const observer of [...this.observers]) observer();
    this.pump();
  }

  failed(error: Error): void {
    this.refuseAll(error);
    this.feed.stop();
  }

  // ---- of leases

  freed(slots: readonly { key: string; revision: number }[]): void {
    const { clock } = this.context;
    for (const { key, revision } of slots) {
      this.board.apply({ key, revision, value: null, writtenAt: clock.wallTime() }, clock.now());
      this.leaseOfKey.delete(key);
    }
    if (slots.length > 0) for (const observer of [...this.observers]) observer();
    this.pump();
  }

  ended(lease: Lease): void {
    const stopListening = this.leases.get(lease);
    if (stopListening === undefined) return;
    this.leases.delete(lease);
    for (const { key } of lease.held) {
      if (this.leaseOfKey.get(key) === lease) this.leaseOfKey.delete(key);
    }
    stopListening();
    this.rest();
  }

  // ---- the loop

  /** Looks at who waits and what is free, and sends the claims that follow from it. Cheap if there are none. */
  private pump(): void {
    if (this.unwanted) return this.rest();
    if (this.closed) return;
    if (this.queue.length === 0 && this.joining.size === 0 && this.placed.size === 0) return;
    const limit = this.knownLimit();
    if (limit === undefined) return void this.learn();
    this.admit(limit);
    if (this.learning) return;
    this.joinAll();
    this.serveTickets(limit);
    this.serveQueue(limit);
  }

  /** Serves those who wait here without a ticket. */
  private serveQueue(limit: number): void {
    const head = this.queue[0];
    if (head === undefined) return;
    const { live, running } = this.feed;
    this.feed.watch(true);
    // While everything is being read again, what we knew is most likely wrong.
    if (running && !live) return;
    const free = live ? this.spread(this.freeNow(limit)) : this.rememberedSlots(limit);
    if (head.want.count === 'all free') return this.drain(head, live ? free : undefined);
    const wants = this.unclaimedPrefix(head.shape, free.length);
    const plans = planClaims(free, wants);
    for (const slots of plans) void this.claim(head, slots);
    if (live) this.settleHopeless(limit);
    else if (plans.length < wants.length || this.claims.size === 0) this.feed.start();
  }

  /** Serves the first in the queue that all processes see, if it is one of ours. */
  private serveTickets(limit: number): void {
    if (this.placed.size === 0) return;
    this.feed.watch(true);
    if (!this.feed.running) this.feed.start();
    if (!this.feed.live || this.fairClaim !== undefined) return;
    const head = this.board.head;
    const own = head === undefined ? undefined : this.placed.get(head.id);
    if (head === undefined || own === undefined || !own.place.lease.isHeld) return;
    const free = this.freeNow(limit);
    if (free.length >= head.ticket.count)
      void this.claimByTicket(own.waiter, own.place, free.slice(0, head.ticket.count));
  }

  /** Refuses those whose wish can not be met under the limit. */
  private admit(limit: number): void {
    for (const waiter of [...this.unchecked]) {
      const { count, slots, limitPolicy } = waiter.want;
      if (slots !== undefined && !this.limits.agreed(slots, limit)) {
        if (limitPolicy === 'error') waiter.settle(this.conflictError(slots, limit));
        else if (limitPolicy === 'adopt') this.limits.agree(slots);
        else return void this.learn();
      }
      if (waiter.settled) continue;
      this.unchecked.delete(waiter);
      if (count !== 'all free' && count > limit) waiter.settle(tooMany(this.name, count, limit));
    }
  }

  private get everybody(): Waiter[] {
    return [...this.queue, ...this.joining.keys(), ...this.placeOf.keys()];
  }

  private enqueue(waiter: Waiter): void {
    this.queue.push(waiter);
    this.shapes.set(waiter.shape, (this.shapes.get(waiter.shape) ?? 0) + 1);
    if (waiter.immediate) this.impatient++;
  }

  private dequeue(waiter: Waiter): void {
    const index = this.queue.indexOf(waiter);
    if (index < 0) return;
    this.queue.splice(index, 1);
    const alike = (this.shapes.get(waiter.shape) ?? 0) - 1;
    if (alike > 0) this.shapes.set(waiter.shape, alike);
    else this.shapes.delete(waiter.shape);
    if (waiter.immediate) this.impatient--;
  }

  /** Waiters at the front that are alike, `most` at most, less one for each claim already under way for them. */
  private unclaimedPrefix(shape: string, most: number): { count: number }[] {
    let underway = 0;
    for (const claim of this.claims) if (claim.shape === shape) underway++;
    const wants: { count: number }[] = [];
    for (const { shape: own, want } of this.queue) {
      if (own !== shape || want.count === 'all free' || wants.length > most) break;
      if (underway-- <= 0) wants.push({ count: want.count });
    }
    return wants;
  }

  private freeNow(limit: number): FreeSlot[] {
    return this.usable(freeSlots(this.board, this.keys, limit, this.context.clock.now()));
  }

  /** Starts somewhere: processes that see the same free slots should not all try the same one. */
  private spread(free: FreeSlot[]): FreeSlot[] {
    const start = Math.floor(Math.random() * free.length);
    return [...free.slice(start), ...free.slice(0, start)];
  }

  /** While nobody tells us of changes: the slots that we were the last to use, as far as we know. */
  private rememberedSlots(limit: number): FreeSlot[] {
    // Somebody may still hold slots above a limit that was lowered meanwhile: what is free can not be told from here.
    if (this.mayOverhang) return [];
    const { picture } = this.board;
    const now = this.context.clock.now();
    const remembered: FreeSlot[] = [];
    for (const { key, value } of picture.entries()) {
      const part = this.keys.parse(key);
      if (part?.part !== 'slot' || value !== null || part.slot >= limit) continue;
      remembered.push({ slot: part.slot, expected: picture.expectedIfFree(key, now) });
    }
    return this.usable(remembered.reverse());
  }

  private usable(slots: readonly FreeSlot[]): FreeSlot[] {
    const busy = new Set<number>();
    for (const reserved of this.reserved) for (const { slot } of reserved) busy.add(slot);
    return slots.filter(({ slot }) => !busy.has(slot) && !this.isOutdated(this.keys.slot(slot)));
  }

  private isOutdated(key: string): boolean {
    const atLeast = this.outdated.get(key);
    if (atLeast === undefined) return false;
    if ((this.board.picture.get(key)?.revision ?? 0) < atLeast) return true;
    this.outdated.delete(key);
    return false;
  }

  /** Claims for the first waiter of a shape, whoever that is when the answer comes. */
  private async claim({ shape, want }: Waiter, slots: readonly FreeSlot[]): Promise<void> {
    const claim: Claim = { shape, abandon: new AbortController() };
    this.claims.add(claim);
    try {
      const lease = await grab(
        this.context,
        this.name,
        [{ engine: this, slots }],
        want,
        claim.abandon.signal,
      );
      this.claims.delete(claim);
      if (lease !== undefined) this.hand(lease, this.firstOf(shape));
    } catch (error) {
      this.claims.delete(claim);
      this.firstOf(shape)?.settle(error as Error);
    }
    this.pump();
  }

  private async claimByTicket(waiter: Waiter, place: Place, slots: readonly FreeSlot[]): Promise<void> {
    const abandon = new AbortController();
    this.fairClaim = { waiter, abandon };
    try {
      const part = { engine: this, slots, ticket: place.id };
      const lease = await grab(this.context, this.name, [part], waiter.want, abandon.signal);
      if (lease !== undefined) this.hand(lease, waiter.settled ? undefined : waiter);
    } catch (error) {
      waiter.settle(error as Error);
    }
    this.fairClaim = undefined;
    this.pump();
  }

  private hand(lease: Lease, taker: Waiter | undefined): void {
    if (taker === undefined) this.context.background.add(lease.release());
    else taker.settle(lease);
  }

  /** Takes all that is free for a waiter that will not wait. */
  private drain(waiter: Waiter, free: readonly FreeSlot[] | undefined): void {
    if (free === undefined) return this.feed.start();
    if ([...this.claims].some(({ shape }) => shape === waiter.shape)) return;
    if (free.length > 0) void this.claim(waiter, free);
    else if (this.reserved.size === 0) waiter.settle(this.nothingFree());
  }

  /** Ends waiters that will not wait, and those for whom waiting is no use. */
  private settleHopeless(limit: number): void {
    const corrupt = this.corruptSlots(limit);
    if (corrupt.length === 0 && this.impatient === 0) return;
    const underway = new Map<string, number>();
    for (const { shape } of this.claims) underway.set(shape, (underway.get(shape) ?? 0) + 1);
    for (const waiter of [...this.queue]) {
      if (!waiter.immediate && corrupt.length === 0) continue;
      const claims = underway.get(waiter.shape) ?? 0;
      underway.set(waiter.shape, claims - 1);
      if (this.hopeless(waiter, limit, corrupt)) continue;
      if (waiter.immediate && claims <= 0) waiter.settle(this.nothingFree());
    }
  }

  /** Fails a waiter for whom too many slots are unreadable. */
  private hopeless(
    waiter: Waiter,
    limit: number,
    corrupt: readonly { key: string; reason: string }[],
  ): boolean {
    const [first] = corrupt;
    const { count } = waiter.want;
    if (first === undefined || (count !== 'all free' && limit - corrupt.length >= count)) return false;
    waiter.settle(this.corruptError(first.key, first.reason));
    return true;
  }

  private corruptSlots(limit: number): { key: string; reason: string }[] {
    const found: { key: string; reason: string }[] = [];
    for (const [key, reason] of this.board.corrupt) {
      const part = this.keys.parse(key);
      if (part?.part === 'slot' && part.slot < limit) found.push({ key, reason });
    }
    return found;
  }

  private firstOf(shape: string): Waiter | undefined {
    return this.queue.find((waiter) => waiter.shape === shape);
  }

  // ---- tickets

  /** Gets tickets for those who need one. */
  private joinAll(): void {
    if (this.joining.size === 0) return;
    this.feed.watch(true);
    this.feed.start();
    // A place is only known for certain once everything older is: ask for one when the board shows everything.
    if (!this.feed.live) return;
    for (const [waiter, asked] of this.joining) {
      if (asked !== undefined) continue;
      const abandon = new AbortController();
      this.joining.set(waiter, abandon);
      void this.join(waiter, abandon);
    }
  }

  private async join(waiter: Waiter, abandon: AbortController): Promise<void> {
    const owner: LeaseOwner = {
      freed: (slots) => this.freed(slots),
      ended: (ticket) => this.ticketEnded(ticket),
    };
    const { count } = waiter.want;
    let place: Place | undefined;
    try {
      const slots = count === 'all free' ? 1 : count;
      place = await joinQueue(this.context, this.name, this.keys, waiter, slots, owner, abandon.signal);
    } catch (error) {
      waiter.settle(error as Error);
    }
    this.lastAnswerAt = this.context.clock.now();
    this.joining.delete(waiter);
    if (place === undefined) return this.pump();
    for (const entry of place.lease.entries) this.board.apply(entry, this.context.clock.now());
    if (waiter.settled || !place.lease.isHeld) {
      this.context.background.add(place.lease.release());
      if (!waiter.settled) this.rejoin(waiter);
    } else {
      this.placed.set(place.id, { waiter, place });
      this.placeOf.set(waiter, place);
    }
    this.pump();
  }

  /** A ticket was given back, or lost: then its waiter joins again, at the end. */
  private ticketEnded(ticket: Lease): void {
    const own = this.placed.get(ticket.id);
    if (own === undefined) return;
    this.placed.delete(ticket.id);
    this.placeOf.delete(own.waiter);
    if (!own.waiter.settled) this.rejoin(own.waiter);
    this.pump();
  }

  private rejoin(waiter: Waiter): void {
    this.joining.set(waiter, undefined);
  }

  private informTicket({ lease }: Place): void {
    for (const { key } of lease.held) {
      const entry = this.board.picture.get(key);
      if (entry === undefined) lease.lose('its ticket is gone from the bucket');
      else lease.observe(entry);
    }
  }

  // ---- leaving

  private left(waiter: Waiter): void {
    this.unchecked.delete(waiter);
    this.dequeue(waiter);
    const asked = this.joining.get(waiter);
    if (asked === undefined) this.joining.delete(waiter);
    else asked.abort();
    if (this.fairClaim?.waiter === waiter) this.fairClaim.abandon.abort();
    const place = this.placeOf.get(waiter);
    if (place !== undefined) this.context.background.add(place.lease.release());
    this.abandonSpareClaims();
    this.rest();
  }

  /** Gives up claims that nobody waits for any more. Those that succeed all the same are released. */
  private abandonSpareClaims(): void {
    const left = new Map<string, number>();
    for (const claim of this.claims) {
      const waiting = left.get(claim.shape) ?? this.shapes.get(claim.shape) ?? 0;
      if (waiting === 0) claim.abandon.abort();
      left.set(claim.shape, Math.max(0, waiting - 1));
    }
  }

  private refuseAll(error: Error): void {
    for (const waiter of this.everybody) waiter.settle(error);
  }

  // ---- knowing

  private knownLimit(): number | undefined {
    const stored = this.board.limit?.limit;
    return this.limitKnown && stored?.ok === true ? stored.record.slots : undefined;
  }

  /** Finds out the limit, and stores or changes it where those who wait ask for that. */
  private async learn(): Promise<void> {
    if (this.learning) return;
    this.learning = true;
    try {
      const pauses = backoff(50, 1_000);
      for (;;) {
        const [first] = [...this.unchecked, ...this.everybody];
        if (first === undefined || this.closed) return;
        try {
          await this.settleLimit(first.want);
          break;
        } catch (error) {
          if (error instanceof CorruptEntryError || !(error instanceof BackendUnavailableError)) {
            this.refuseAll(error as Error);
            return;
          }
          if (this.context.store.isClosed()) return this.refuseAll(error);
          await sleep(this.context.clock, pauses.next().value);
        }
      }
    } finally {
      this.learning = false;
    }
    this.lastAnswerAt = this.context.clock.now();
    this.limitChanged();
  }

  private async settleLimit(want: Want): Promise<void> {
    await this.limits.settle(want);
    this.limitKnown = true;
    const limit = this.knownLimit();
    if (limit !== undefined) this.mayOverhang = !this.board.fits(limit);
  }

  /** The limit on the board is another, or may be. */
  private limitChanged(): void {
    const stored = this.board.limit;
    if (stored === undefined || !stored.limit.ok) {
      this.limitKnown = false;
    } else {
      const { slots } = stored.limit.record;
      if ((this.lastLimit ?? 0) > slots) {
        this.lowered = [...this.lowered.slice(-9), stored.revision];
        this.mayOverhang = true;
      }
      if (this.lastLimit !== slots) for (const waiter of this.everybody) this.unchecked.add(waiter);
      this.lastLimit = slots;
    }
    for (const observer of [...this.observers]) observer();
    this.pump();
  }

  /** A hold that goes on for a while listens for its slots being taken away. Returns how to stop that. */
  private listenFor(lease: Lease, entries: readonly Entry[]): () => void {
    let listening = false;
    const { clock } = this.context;
    const listen = (): void => {
      listening = true;
      this.listeners++;
      const own = new Set(entries.map(({ key }) => key));
      for (const entry of lease.entries) if (own.has(entry.key)) this.board.apply(entry, clock.now());
      this.feed.start();
    };
    const cancel = this.feed.running ? listen() : clock.after(LISTEN_AFTER_MS, listen);
    return () => {
      cancel?.();
      if (listening) this.listeners--;
    };
  }

  /** Tells the lease concerned what was heard of one of its slots; undefined: that nothing is there. */
  private inform(key: string, entry: Entry | undefined): void {
    const lease = this.leaseOfKey.get(key);
    if (entry === undefined) lease?.lose('its entry is gone from the bucket');
    else lease?.observe(entry);
  }

  private get unwanted(): boolean {
    const waiting = this.queue.length + this.joining.size + this.placed.size;
    return waiting + this.reserved.size + this.observers.size === 0;
  }

  /** Lets go of what is only needed while somebody waits, looks or listens. */
  private rest(): void {
    if (this.queue.length + this.placed.size + this.joining.size + this.observers.size === 0)
      this.feed.watch(false);
    if (!this.unwanted || this.listeners > 0) return;
    const limit = this.knownLimit();
    if (limit !== undefined && this.feed.live) this.mayOverhang = !this.board.fits(limit);
    this.feed.stop();
    this.outdated.clear();
    let kept = 0;
    this.board.picture.shrink(({ key, value }) => {
      if (key === this.keys.limit) return true;
      return value === null && this.keys.parse(key)?.part === 'slot' && ++kept <= REMEMBERED_SLOTS;
    });
  }

  // ---- errors

  private timedOut(waiter: Waiter, ms: number): Error {
    const trouble = this.context.store.trouble();
    const heardNothing = !this.feed.live && this.lastAnswerAt < waiter.joinedAt;
    if (trouble !== undefined || heardNothing) return unavailable(this.name, ms, trouble);
    return new AcquireTimeoutError(`no permit of "${this.name}" became free within ${ms} ms`, {
      primitive: this.name,
      cause: this.firstCorruption(),
    });
  }

  private nothingFree(): AcquireTimeoutError {
    return new AcquireTimeoutError(`no permit of "${this.name}" is free`, {
      primitive: this.name,
      cause: this.firstCorruption(),
    });
  }

  /** What may be the reason that nothing becomes free. */
  private firstCorruption(): CorruptEntryError | undefined {
    const [first] = this.board.corrupt;
    return first === undefined ? undefined : this.corruptError(...first);
  }

  private closedError(): DispatcherClosedError {
    return new DispatcherClosedError('the dispatcher is closed', { primitive: this.name });
  }

  private conflictError(slots: number, stored: number): LimitConflictError {
    return new LimitConflictError(
      `"${this.name}" has ${stored} slots, the code asks for ${slots}. Use the same number everywhere, ` +
        'or say with limitPolicy which one counts: "adopt" for the stored one, "set" for the one in the code.',
      { primitive: this.name },
    );
  }

  private corruptError(key: string, reason: string): CorruptEntryError {
    return new CorruptEntryError(`the entry ${key} of "${this.name}" can not be read: ${reason}`, {
      primitive: this.name,
    });
  }
}

export function tooMany(name: string, count: number, limit: number): RangeError {
  return new RangeError(
    `count must be a whole number from 1 to ${limit} (the number of slots of "${name}"), got ${count}`,
  );
}
