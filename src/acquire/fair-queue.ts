import { Abort, type Aborting } from '../runtime/cancellation';
import type { Entry } from '../store/store';
import type { TakenSlot } from '../state/slot-table';
import { caughtUp, isoTime, nextTurn } from '../runtime/clock';
import { HANDED_OFF_MS } from './receive-hand-off';
import { newId } from '../runtime/id';
import { Lease, type Succession } from '../lease/lease';
import { type QueueHost, unreadablePlaces } from './local-queue';
import { MAX_READS_UNDERWAY } from './claim-plan';
import type { FreeSlot } from '../state/grantable';
import { MAX_WAITING_TTL_MS, type Ticket, encodeRecord } from '../protocol/records';
import { corrupt } from '../state/refusals';
import { type Removed, markerEntry } from '../store/remove-entries';
import type { Waiter } from './waiter';

/**
 * How long a place in the queue outlives the process that waits in it, in ms. All tickets of dead processes run out at once, so the queue
 * stalls no longer than this plus a second, however many died. A live waiter renews its ticket every 2.7 to 3.3 s; a longer time would save
 * some of those renewals.
 */
export const TICKET_TTL_MS = MAX_WAITING_TTL_MS;

/** When a ticket is renewed, as a part of its ttl: a slot can be handed off only to a ticket that was written a short time ago. */
const RENEW_AT = 0.27;

/** How long to listen for hand-offs to a ticket after it was given up, in ms: they may be on their way already. */
export const LINGER_MS = 1_000;

/** A waiter's place in the queue that all processes see. */
interface Place {
  /** The waiter that is served when its turn comes; waiters of this process may change places with each other. */
  waiter: Waiter;
  readonly ticket: Lease;
  /** Permits of the slots handed off to it that were dealt with. */
  readonly received: Set<string>;
}

/**
 * The waiters of this process with a ticket: a key in the bucket, whose first revision is the place in the queue.
 *
 * Invariants:
 * - Claims are made only for tickets of this process before which all others are served, or are also of this process and being claimed for.
 *   The table knows of every ticket older than one of this process: each was announced before the answer that created the newer one. No
 *   other process may claim for them, so a released slot costs the same number of writes however many wait.
 * - A claim of a free slot is waited for before another free slot is claimed for the waiters behind it: the claim may be refused. A
 *   takeover of a slot of this process can not be refused, except after faults. So such slots go to the next waiter meanwhile, if all are
 *   alike. The waiter that joined first gets what others of this process bring before it is known that it has been served; those between
 *   move up by one place.
 * - The process that held a slot before may also hand it off to a ticket of this process, see `release/hand-off-remote.ts`. The ticket may
 *   be one without a waiter by then.
 * - A caller that asks while a slot is free and the queue is empty, as a read begun after the request has shown, needs no ticket: any
 *   waiter that joined since came later.
 */
export class FairQueue {
  private readonly placed = new Map<string, Place>();
  private readonly placeOf = new Map<Waiter, Place>();
  /** Waiters that are about to get a ticket, each with a way to stop that once the ticket is requested. */
  private readonly joining = new Map<Waiter, Abort | undefined>();
  /** Places without a waiter, and until when to listen for hand-offs to them. */
  private readonly departed = new Map<string, Place & { readonly until: number }>();
  private cancelForgetting: (() => void) | undefined;
  /** Places of the waiters that were served in this turn of the event loop. */
  private readonly served = new Set<Place>();
  private readonly claims = new Map<Place, { readonly abandon: Abort; readonly takesOver: boolean }>();
  /** A claim is under way for the first of the waiters that are about to join; the others wait for its outcome. */
  private claimingFirst = false;

  constructor(private readonly host: QueueHost) {}

  get waiters(): Waiter[] {
    return [...this.joining.keys(), ...this.placeOf.keys()];
  }

  /** The waiter that would join next; undefined if there is none, or some of this process queue already. */
  get newcomer(): Waiter | undefined {
    if (this.placed.size > 0) return undefined;
    for (const [waiter, asked] of this.joining) return asked === undefined ? waiter : undefined;
    return undefined;
  }

  get size(): number {
    return this.joining.size + this.placed.size;
  }

  /** Whether another process may hand slots off to this process although it has no waiter. */
  get lingers(): boolean {
    return this.departed.size > 0;
  }

  add(waiter: Waiter): void {
    this.joining.set(waiter, undefined);
  }

  remove(waiter: Waiter): void {
    const asked = this.joining.get(waiter);
    if (asked === undefined) this.joining.delete(waiter);
    else asked.abort();
    const place = this.placeOf.get(waiter);
    if (place === undefined) return;
    this.claims.get(place)?.abandon.abort();
    // If this process dies or is blocked for long, its ticket must not count again when its hold has run out.
    const outlived = waiter.want.ttl >= TICKET_TTL_MS && this.host.table.isServed(place.ticket.id);
    if (outlived) this.withdrawSoon(place);
    else this.withdraw(place);
  }

  /**
   * Removes the tickets of waiters that have just been served. Must run before their slots are given back, or those tickets would be next
   * again.
   */
  withdrawServed(): void {
    if (this.served.size === 0) return;
    for (const place of this.served) this.withdraw(place);
    this.served.clear();
  }

  /** Removes the ticket of a served waiter in the background: no waiter waits for that, and the served one waits to learn of its permit. */
  private withdrawSoon(place: Place): void {
    this.depart(place, Infinity);
    this.served.add(place);
    if (this.served.size === 1)
      this.host.context.background.add(nextTurn().then(() => this.withdrawServed()));
  }

  /**
   * Removes a ticket, and listens for hand-offs to it until a while after the removal was answered: until then other processes may not have
   * heard of it, however long it took.
   */
  private withdraw(place: Place): void {
    this.depart(place, Infinity);
    const removing = place.ticket.release();
    this.host.context.background.add(removing);
    const removed = (): void => this.depart(place);
    void removing.then(removed, removed);
  }

  serve(limit: number): void {
    if (this.size === 0) return;
    const { context, watcher, free } = this.host;
    watcher.watch(true);
    watcher.start();
    // A place is certain only when everything older is known: ask for one when the table shows everything.
    if (!watcher.live) return;
    this.refuseHopeless(limit);
    if (this.claimingFirst || this.claimForFirst(limit)) return;
    this.askForTickets();
    if (this.placed.size === 0) return;
    let slots: FreeSlot[] | undefined;
    for (const place of this.front(limit)) {
      // Looked up only when a place of this process is next: mostly others are.
      slots ??= free.now();
      const needed = slotsFor(place.waiter);
      if (slots.length < needed) return;
      if (place.waiter.want.mode === 'read' && this.claims.size >= MAX_READS_UNDERWAY) return;
      context.background.add(this.claimFor(place, slots.slice(0, needed)));
    }
  }

  /** Takes over the slot of a lease that ends, if the next place in the queue is of this process and wants one slot. */
  takeOver(limit: number, slot: FreeSlot, after: Succession & { readonly turnSince: number }): boolean {
    const [place] = this.front(limit, true);
    if (place?.waiter.want.count !== 1) return false;
    this.host.context.background.add(this.claimFor(place, [slot], after));
    return true;
  }

  /** Whether a ticket is of this process, with a waiter or given up a moment ago. */
  isOurs(id: string): boolean {
    return this.placed.has(id) || this.departed.has(id);
  }

  /**
   * A slot changed hands: if it was handed off to a ticket of this process, the first waiter of the same shape gets it. If it can not
   * count, the waiters go on waiting in their places. If there is no waiter any more, the slot goes to the next one in the queue.
   */
  receive(taken: TakenSlot | undefined): void {
    if (taken?.hold.ok !== true || taken.hold.record.given === undefined) return;
    const { permit, ticket: id = '' } = taken.hold.record;
    const place = this.placed.get(id) ?? this.departed.get(id);
    if (place === undefined || place.received.has(permit) || !takesGiven(place.waiter)) return;
    place.received.add(permit);
    const lease = this.host.accept(taken, place.ticket, place.waiter.want);
    if (lease === undefined) return;
    this.claims.get(place)?.abandon.abort();
    this.grant(place, lease);
  }

  /** The entry of a ticket of this process changed. */
  heard(id: string, entry: Entry): void {
    this.placed.get(id)?.ticket.observe(entry);
  }

  /** Everything was read: compares the tickets of this process with it. */
  compareAll(): void {
    this.receiveAll();
    for (const { ticket } of [...this.placed.values()]) {
      for (const { key } of ticket.held) {
        const entry = this.host.table.entries.get(key);
        if (entry === undefined) ticket.lose('it is gone from the bucket');
        else ticket.observe(entry);
      }
    }
  }

  /** Stops listening for hand-offs to waiters that have left. */
  close(): void {
    this.cancelForgetting?.();
    this.departed.clear();
  }

  /** All tickets are gone. */
  loseAll(reason: string): void {
    for (const { ticket } of [...this.placed.values()]) ticket.lose(reason);
  }

  /** Refuses waiters that wait in vain: unreadable entries take up too many slots. */
  private refuseHopeless(limit: number): void {
    const { table, keys, name } = this.host;
    if (table.corrupt.size === 0) return;
    for (const waiter of this.waiters) {
      const { count } = waiter.want;
      const unreadable = unreadablePlaces(table, keys, limit, waiter.want);
      const [first] = unreadable;
      if (first === undefined) continue;
      if (count !== 'all free' && limit - unreadable.length < count) waiter.settle(corrupt(name, ...first));
    }
  }

  private askForTickets(): void {
    for (const [waiter, asked] of this.joining) {
      if (asked !== undefined) continue;
      const abandon = new Abort();
      this.joining.set(waiter, abandon);
      this.host.context.background.add(this.join(waiter, abandon.signal));
    }
  }

  private async join(waiter: Waiter, abandon: Aborting): Promise<void> {
    const { table, context, pump } = this.host;
    let ticket: Lease | undefined;
    try {
      ticket = await this.createTicket(waiter, abandon);
    } catch (error) {
      waiter.settle(error as Error);
    }
    this.joining.delete(waiter);
    if (ticket !== undefined) {
      for (const entry of ticket.entries) table.apply(entry, context.clock.now());
      const place = { waiter, ticket, received: new Set<string>() };
      if (waiter.settled) {
        context.background.add(ticket.release());
        this.depart(place);
      } else if (ticket.isHeld) {
        this.placed.set(ticket.id, place);
        this.placeOf.set(waiter, place);
      } else {
        this.depart(place);
        this.add(waiter);
      }
      // Other processes have known it for a moment.
      if (table.isServed(ticket.id)) this.receiveAll();
    } else if (!waiter.settled) {
      // The ticket was stored and had run out before its answer came.
      this.add(waiter);
    }
    pump();
  }

  private async createTicket(waiter: Waiter, abandon: Aborting): Promise<Lease | undefined> {
    const { context, keys, name } = this.host;
    const { metadata, mode, ttl } = waiter.want;
    const id = newId();
    const key = keys.ticket(id);
    const ticket: Ticket = {
      holder: context.holder,
      since: isoTime(context.clock.wallTime()),
      ttl: TICKET_TTL_MS,
      count: slotsFor(waiter),
      ...(mode === undefined ? {} : { mode }),
      ...(takesGiven(waiter) ? { holdTtl: ttl } : {}),
      ...(metadata === undefined ? {} : { meta: metadata }),
    };
    const write = { key, expected: 0, value: encodeRecord(ticket), ttl: TICKET_TTL_MS };
    const result = await context.store.commit([write], { abandon });
    if (!result.committed) return undefined;
    const owner = {
      freed: (entries: readonly Removed[]) => this.gone(entries),
      ended: (lease: Lease) => this.left(lease),
    };
    return new Lease(context, owner, {
      primitive: name,
      record: { id, encode: (_, ttl, token) => encodeRecord({ ...ticket, ttl, token }), owns: () => true },
      ttl: TICKET_TTL_MS,
      slots: [{ slot: 0, key, revision: result.revisions[0] as number, ttl: TICKET_TTL_MS }],
      sentAt: result.sentAt,
      autoRenew: true,
      renewShare: RENEW_AT,
    });
  }

  /**
   * The places of this process to claim for next, before which there is no other waiter: one, or the readers at the front. Readers are
   * admitted together: a waiting reader waits only for the writers before it.
   * @param takingOver a slot of this process is to be taken over, which can not be refused
   */
  private *front(limit: number, takingOver = false): Generator<Place> {
    let shape: string | undefined;
    let reads = 0;
    for (const { id, ticket } of this.host.table.line(limit)) {
      const place = this.placed.get(id);
      if (ticket.mode === 'read' && shape === undefined) {
        reads++;
        if (place?.ticket.isHeld === true && !this.claims.has(place)) yield place;
        continue;
      }
      if (reads > 0 || place?.ticket.isHeld !== true) return;
      shape ??= place.waiter.shape;
      if (place.waiter.shape !== shape) return;
      const claim = this.claims.get(place);
      if (claim === undefined) {
        yield place;
        return;
      }
      if (!claim.takesOver && !takingOver) return;
    }
  }

  /** Claims for the first waiter that has no ticket yet, if it needs none. Returns whether it does so. */
  private claimForFirst(limit: number): boolean {
    const { table, context, watcher, free } = this.host;
    const [first] = this.joining.keys();
    // A writer that waits until others have read would keep the waiters behind it from joining.
    if (first?.want.mode === 'write' && table.readers.size > 0) return false;
    if (first === undefined || this.placed.size > 0 || this.joining.get(first) !== undefined) return false;
    if (table.head(limit) !== undefined || !watcher.covers(first.joinedAt)) return false;
    const needed = slotsFor(first);
    const slots = free.now();
    if (slots.length < needed) return false;
    context.background.add(this.claimWithoutTicket(first, slots.slice(0, needed)));
    return true;
  }

  private async claimWithoutTicket(waiter: Waiter, slots: readonly FreeSlot[]): Promise<void> {
    const abandon = new Abort();
    this.claimingFirst = true;
    this.joining.set(waiter, abandon);
    try {
      const granted = await this.host.grab(slots, waiter.want, abandon);
      // A wait that may still follow keeps no waiter from joining.
      this.claimingFirst = false;
      if (granted !== undefined) this.host.pump();
      const lease = granted && (await this.host.settleIn(granted, waiter.want, abandon));
      if (lease !== undefined && waiter.settled) this.host.context.background.add(lease.release());
      else if (lease !== undefined) waiter.settle(lease);
    } catch (error) {
      waiter.settle(error as Error);
    }
    this.claimingFirst = false;
    if (waiter.settled) this.joining.delete(waiter);
    else this.joining.set(waiter, undefined);
    this.host.pump();
  }

  private async claimFor(
    place: Place,
    slots: readonly FreeSlot[],
    after?: Succession & { readonly turnSince: number },
  ): Promise<void> {
    const abandon = new Abort();
    this.claims.set(place, { abandon, takesOver: after !== undefined });
    try {
      // A write over a hold is never given up half-way: the slot would stay taken.
      const signal = after === undefined ? abandon : undefined;
      const granted = await this.host.grab(slots, place.waiter.want, signal, place.ticket.id, after);
      const lease = granted && (await this.host.settleIn(granted, place.waiter.want, signal));
      this.claims.delete(place);
      if (lease !== undefined) this.grant(place, lease);
    } catch (error) {
      this.claims.delete(place);
      // If a slot could not be taken over, the release that offered it handles the error.
      if (after === undefined) place.waiter.settle(error as Error);
    }
    this.host.pump();
  }

  /** A claim for a place succeeded: the first waiter gets it, and those between move up by one place. */
  private grant(place: Place, lease: Lease): void {
    // The next waiters may have been announced together with it.
    if (place.waiter.settled) return this.host.context.background.add(caughtUp().then(() => lease.release()));
    if (this.placed.has(place.ticket.id)) this.moveUp(place);
    place.waiter.settle(lease);
  }

  /** Puts the first waiter of the same shape in this process into the place that is served, and those between one place further back. */
  private moveUp(place: Place): void {
    const earlier: Place[] = [];
    for (const { id, order } of this.host.table.line(Infinity)) {
      if (order >= place.ticket.claimedAs) break;
      const other = this.placed.get(id);
      if (other?.waiter.shape === place.waiter.shape) earlier.unshift(other);
    }
    for (const other of earlier) {
      [place.waiter, other.waiter] = [other.waiter, place.waiter];
      this.placeOf.set(place.waiter, place).set(other.waiter, other);
    }
  }

  /** Everything was read: looks for hand-offs to this process. */
  receiveAll(): void {
    if (this.placed.size + this.departed.size === 0) return;
    for (const taken of [...this.host.table.taken.values()]) this.receive(taken);
  }

  private gone(entries: readonly Removed[]): void {
    const { table, context, pump } = this.host;
    const { clock } = context;
    for (const removed of entries) table.apply(markerEntry(removed, clock.wallTime()), clock.now());
    pump();
  }

  /** A ticket was given back, or lost: a waiter that is not settled joins again, at the end. */
  private left(ticket: Lease): void {
    const place = this.placed.get(ticket.id);
    if (place === undefined) return;
    this.depart(place);
    if (!place.waiter.settled) this.add(place.waiter);
    this.host.pump();
  }

  /** The ticket has no waiter any more; the process listens for hand-offs to it a moment longer. */
  private depart(place: Place, until = this.host.context.clock.now() + LINGER_MS): void {
    const { ticket, waiter } = place;
    this.placed.delete(ticket.id);
    this.placeOf.delete(waiter);
    if (this.host.isClosed) return;
    this.departed.set(ticket.id, { ...place, until });
    if (this.departed.size === 1) this.forgetAt(until);
  }

  private forgetAt(time: number): void {
    const { clock } = this.host.context;
    const ms = Math.min(time - clock.now(), LINGER_MS);
    this.cancelForgetting?.();
    this.cancelForgetting = clock.after(ms, () => this.forgetDeparted());
  }

  private forgetDeparted(): void {
    const now = this.host.context.clock.now();
    let next = Infinity;
    for (const [id, { until }] of this.departed) {
      if (until <= now) this.departed.delete(id);
      else next = Math.min(next, until);
    }
    if (this.departed.size > 0) this.forgetAt(next);
    else this.host.pump();
  }
}

/** Whether a slot can be handed off to it: it wants one, for long enough, and does not retain it afterwards. */
function takesGiven({ want }: Waiter): boolean {
  return want.count === 1 && want.mode === undefined && want.retain === 0 && want.ttl >= HANDED_OFF_MS;
}

function slotsFor({ want }: Waiter): number {
  return want.count === 'all free' ? 1 : want.count;
}
