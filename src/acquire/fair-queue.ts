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
 * How long a place in the queue outlives the process that waits in it, in ms. All tickets of dead processes run out at
 * once, so the queue stalls no longer than this plus a second, however many died. A live waiter renews its ticket every
 * 2.7 to 3.3 s, which is what a longer time would save.
 */
export const TICKET_TTL_MS = MAX_WAITING_TTL_MS;

/** When a ticket is renewed, of its ttl: a slot can be given only to one that was written a short time ago. */
const RENEW_AT = 0.27;

/** How long to listen for slots that are given to a ticket after it was given up, in ms: they were on their way already. */
export const LINGER_MS = 1_000;

/** A waiter's place in the queue that all processes see. */
interface Place {
  /** Who is served when its turn comes: somebody of ours, who may have changed places with another. */
  waiter: Waiter;
  readonly ticket: Lease;
  /** Permits of the slots given to it that were dealt with. */
  readonly received: Set<string>;
}

/**
 * Those of this process who wait with a ticket: a key in the bucket, whose first revision is the place in the queue.
 *
 * Invariants:
 * - Claims are made only for tickets of ours before which all others are served, or are ours and being claimed for as well.
 *   The table knows of every ticket older than one of ours: each was announced before the answer that created ours. Nobody
 *   else may claim for them, so a released slot costs the same number of writes however many wait.
 * - A claim of a free slot is waited for before another free slot is claimed for those behind it: it may be refused. Slots of
 *   ours that are taken over can not be, but for faults, so they go to the next meanwhile, if all are alike. Whoever joined
 *   first gets what others of ours bring before it is known that he has been served; those between move up by one place.
 * - A slot may also be given to a ticket of ours by whoever held it before, see `release/hand-off-remote.ts`: to one that waits no more, too.
 * - Who asks while a slot is free and nobody queues, as a read begun after it asked has shown, needs no ticket: whoever
 *   joined since came later.
 */
export class FairQueue {
  private readonly placed = new Map<string, Place>();
  private readonly placeOf = new Map<Waiter, Place>();
  /** Who is about to get a ticket, with how to stop that once it is asked for. */
  private readonly joining = new Map<Waiter, Abort | undefined>();
  /** Places that nobody waits in any more, and until when to listen for what is given to them. */
  private readonly departed = new Map<string, Place & { readonly until: number }>();
  private cancelForgetting: (() => void) | undefined;
  /** Of those who were served in this turn of the event loop. */
  private readonly served = new Set<Place>();
  private readonly claims = new Map<Place, { readonly abandon: Abort; readonly takesOver: boolean }>();
  /** A claim is under way for the first of those who are about to join; the others wait for what comes of it. */
  private claimingFirst = false;

  constructor(private readonly host: QueueHost) {}

  get waiters(): Waiter[] {
    return [...this.joining.keys(), ...this.placeOf.keys()];
  }

  /** Who would join next; undefined if nobody would, or some of ours queue already. */
  get newcomer(): Waiter | undefined {
    if (this.placed.size > 0) return undefined;
    for (const [waiter, asked] of this.joining) return asked === undefined ? waiter : undefined;
    return undefined;
  }

  get size(): number {
    return this.joining.size + this.placed.size;
  }

  /** Whether slots may be given to us although nobody of ours waits. */
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
    // If this process dies or does nothing else for long, its ticket is not to count again when its hold has run out.
    const outlived = waiter.want.ttl >= TICKET_TTL_MS && this.host.table.isServed(place.ticket.id);
    if (outlived) this.withdrawSoon(place);
    else this.withdraw(place);
  }

  /** Removes the tickets of those who have just been served. Before their slots are given back, or they would be next again. */
  withdrawServed(): void {
    if (this.served.size === 0) return;
    for (const place of this.served) this.withdraw(place);
    this.served.clear();
  }

  /** Nobody waits for a ticket of one who is served to be removed; he waits to be told that he is. */
  private withdrawSoon(place: Place): void {
    this.depart(place, Infinity);
    this.served.add(place);
    if (this.served.size === 1)
      this.host.context.background.add(nextTurn().then(() => this.withdrawServed()));
  }

  /**
   * Removes a ticket. Slots handed off to it are listened for until a while after the removal was answered: until then other processes
   * may not have heard of it, however long it took.
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
      // Looked up only when one of ours is next: mostly others are.
      slots ??= free.now();
      const needed = slotsFor(place.waiter);
      if (slots.length < needed) return;
      if (place.waiter.want.mode === 'read' && this.claims.size >= MAX_READS_UNDERWAY) return;
      context.background.add(this.claimFor(place, slots.slice(0, needed)));
    }
  }

  /** Takes over the slot of a lease that ends, if the next in the queue is ours and content with one slot. */
  takeOver(limit: number, slot: FreeSlot, after: Succession & { readonly turnSince: number }): boolean {
    const [place] = this.front(limit, true);
    if (place?.waiter.want.count !== 1) return false;
    this.host.context.background.add(this.claimFor(place, [slot], after));
    return true;
  }

  /** Whether a ticket is ours, waited with or given up a moment ago. */
  isOurs(id: string): boolean {
    return this.placed.has(id) || this.departed.has(id);
  }

  /**
   * A slot changed hands: if it was given to a ticket of ours, the first of those who wait for the like gets it. If it can not
   * count they go on waiting in their places; if nobody waits there any more it is for whoever is next.
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

  /** One of our tickets changed. */
  heard(id: string, entry: Entry): void {
    this.placed.get(id)?.ticket.observe(entry);
  }

  /** Everything was read: compares our tickets with it. */
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

  /** Listens no more for what is given to those who have left. */
  close(): void {
    this.cancelForgetting?.();
    this.departed.clear();
  }

  /** All tickets are gone. */
  loseAll(reason: string): void {
    for (const { ticket } of [...this.placed.values()]) ticket.lose(reason);
  }

  /** Ends those for whom waiting is no use. */
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
      // Others have known it for a moment.
      if (table.isServed(ticket.id)) this.receiveAll();
    } else if (!waiter.settled) {
      // It was stored and had run out before its answer came.
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
   * Our places to be claimed for next, before which nobody else waits: one, or those who read at the front. They are let in
   * together: who waits to read waits only for those before him who want to write.
   * @param takingOver a slot of ours is to be taken over, which can not be refused
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

  /** Claims for the first who has no ticket yet, if it needs none. Returns whether it does. */
  private claimForFirst(limit: number): boolean {
    const { table, context, watcher, free } = this.host;
    const [first] = this.joining.keys();
    // Whoever waits until others have read would keep those behind it from joining.
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
      // What may still have to be waited for keeps nobody from joining.
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
      // What is written over a hold is never given up half-way: the slot would stay taken.
      const signal = after === undefined ? abandon : undefined;
      const granted = await this.host.grab(slots, place.waiter.want, signal, place.ticket.id, after);
      const lease = granted && (await this.host.settleIn(granted, place.waiter.want, signal));
      this.claims.delete(place);
      if (lease !== undefined) this.grant(place, lease);
    } catch (error) {
      this.claims.delete(place);
      // That a slot could not be taken over is the business of who released it.
      if (after === undefined) place.waiter.settle(error as Error);
    }
    this.host.pump();
  }

  /** A claim for a place succeeded: the first who waits gets it, and those between move up by one place. */
  private grant(place: Place, lease: Lease): void {
    // Those who are next may have been told of in the same breath.
    if (place.waiter.settled) return this.host.context.background.add(caughtUp().then(() => lease.release()));
    if (this.placed.has(place.ticket.id)) this.moveUp(place);
    place.waiter.settle(lease);
  }

  /** Puts the first of ours who waits for the like in the place that is served, and those between one place further back. */
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

  /** Something was read: looks for what was given to us. */
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

  /** A ticket was given back, or lost: then its waiter joins again, at the end. */
  private left(ticket: Lease): void {
    const place = this.placed.get(ticket.id);
    if (place === undefined) return;
    this.depart(place);
    if (!place.waiter.settled) this.add(place.waiter);
    this.host.pump();
  }

  /** Nobody waits with the ticket any more; what is given to it is listened for a moment longer. */
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

/** Whether a slot can be given to it: one, for long enough, that it does not keep for others afterwards. */
function takesGiven({ want }: Waiter): boolean {
  return want.count === 1 && want.mode === undefined && want.retain === 0 && want.ttl >= HANDED_OFF_MS;
}

function slotsFor({ want }: Waiter): number {
  return want.count === 'all free' ? 1 : want.count;
}
