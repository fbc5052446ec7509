import { Abort } from './abort';
import type { Entry } from '../store/store';
import type { TakenSlot } from './board';
import { caughtUp, nextTurn } from './clock';
import type { Lease, Succession } from './lease';
import { type Host, unreadablePlaces } from './line';
import { Party, type PartyClaim, TICKET_TTL_MS, slotsFor } from './party';
import { type FreeSlot, MOST_READS_UNDERWAY } from './plan';
import { MOST_PLACES } from './record';
import { corrupt } from './refusals';
import type { Waiter } from './waiter';

/** How long to listen for slots that are given to a ticket after it was given up, in ms: they were on their way already. */
export const LINGER_MS = 1_000;

/** How long a ticket may say that more wait with it than do, in ms: who has heard of all that was granted to it knows better. */
const AMEND_MS = 100;

/** Waiters about to get a ticket together. */
interface Joining {
  readonly abandon: Abort;
  /** How many of them still want it. */
  wanted: number;
}

/**
 * Those of this process who wait with a ticket: a key in the bucket, whose first revision is the place in the queue.
 *
 * Invariants:
 * - Claims are made only for tickets of ours before which all others are served, or are ours and being claimed for as well.
 *   The board knows of every ticket older than one of ours: each was announced before the answer that created ours. Nobody
 *   else may claim for them, so a released slot costs the same number of writes however many wait.
 * - A claim of a free slot is waited for before another free slot is claimed for a ticket behind it: it may be refused. Slots of
 *   ours that are taken over can not be, but for faults, so they go to the next meanwhile, if all are alike. Whoever joined
 *   first gets what others of ours bring before it is known that he has been served; those between move up by one place.
 * - Who asked together has one ticket, see {@link Party}. No others are to think that fewer wait with it than do: then they
 *   would let somebody behind it go first. That more wait than do only delays them, until the last of these is served.
 * - A slot may also be given to a ticket of ours by whoever held it before, see `hand-over.ts`: to one that waits no more, too.
 * - Who asks while a slot is free and nobody queues, as a read begun after it asked has shown, needs no ticket: whoever
 *   joined since came later.
 */
export class TicketLine {
  private readonly placed = new Map<string, Party>();
  private readonly partyOf = new Map<Waiter, Party>();
  /** Who is about to get a ticket, with how to stop that once it is asked for. */
  private readonly joining = new Map<Waiter, Joining | undefined>();
  /** Parties of which nobody waits any more, and until when to listen for what is given to them. */
  private readonly departed = new Map<string, { readonly party: Party; readonly until: number }>();
  private cancelForgetting: (() => void) | undefined;
  private cancelAmending: (() => void) | undefined;
  /** Those of whom the last was served in this turn of the event loop. */
  private readonly served = new Set<Party>();
  /** How many claims are under way for those with a ticket. */
  private underway = 0;
  /** A claim is under way for the first of those who are about to join; the others wait for what comes of it. */
  private claimingFirst = false;

  constructor(private readonly host: Host) {}

  get waiters(): Waiter[] {
    return [...this.joining.keys(), ...this.partyOf.keys()];
  }

  /** Who would join next; undefined if nobody would, or some of ours queue already. */
  get newcomer(): Waiter | undefined {
    if (this.placed.size > 0) return undefined;
    for (const [waiter, asked] of this.joining) return asked === undefined ? waiter : undefined;
    return undefined;
  }

  get size(): number {
    return this.joining.size + this.partyOf.size;
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
    else if (--asked.wanted === 0) asked.abandon.abort();
    const party = this.partyOf.get(waiter);
    if (party === undefined) return;
    this.partyOf.delete(waiter);
    party.leave(waiter);
    if (party.waiters.length > 0) return this.amendSoon(party);
    // If this process dies or does nothing else for long, its ticket is not to count again when its hold has run out.
    const outlived = party.want.ttl >= TICKET_TTL_MS && this.host.board.isServed(party.id);
    if (outlived) this.withdrawSoon(party);
    else this.withdraw(party);
  }

  /** Removes the tickets of those who have just been served. Before their slots are given back, or they would be next again. */
  withdrawServed(): void {
    if (this.served.size === 0) return;
    for (const party of this.served) this.withdraw(party);
    this.served.clear();
  }

  /** Nobody waits for a ticket of one who is served to be removed; he waits to be told that he is. */
  private withdrawSoon(party: Party): void {
    this.depart(party, Infinity);
    this.served.add(party);
    if (this.served.size === 1)
      this.host.context.background.add(nextTurn().then(() => this.withdrawServed()));
  }

  private withdraw(party: Party): void {
    this.depart(party);
    this.host.context.background.add(party.ticket.release());
  }

  serve(limit: number): void {
    if (this.size === 0) return;
    const { context, feed, free } = this.host;
    feed.watch(true);
    feed.start();
    // A place is certain only when everything older is known: ask for one when the board shows everything.
    if (!feed.live) return;
    this.refuseHopeless(limit);
    if (this.claimingFirst || this.claimForFirst(limit)) return;
    this.askForTickets();
    if (this.placed.size === 0) return;
    let slots: FreeSlot[] | undefined;
    for (const party of this.front(limit)) {
      // Looked up only when one of ours is next: mostly others are.
      slots ??= free.now();
      if (slots.length < party.needs) return;
      const reads = party.want.mode === 'read';
      if (reads && this.underway >= MOST_READS_UNDERWAY) return;
      // Many may read at once, each under the same free place of the writer.
      const own = reads ? slots.slice(0, party.needs) : slots.splice(0, party.needs);
      context.background.add(this.claimFor(party, own));
    }
  }

  /** Takes over the slot of a lease that ends, if the next in the queue is ours and content with one slot. */
  takeOver(limit: number, slot: FreeSlot, after: Succession & { readonly turnSince: number }): boolean {
    const [party] = this.front(limit, true);
    if (party?.want.count !== 1) return false;
    this.host.context.background.add(this.claimFor(party, [slot], after));
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
    const party = this.placed.get(id) ?? this.departed.get(id)?.party;
    if (party === undefined || party.received.has(permit) || !party.takesGiven) return;
    party.received.add(permit);
    const lease = this.host.accept(taken, party.ticket, party.want);
    if (lease === undefined) this.wasted(party);
    else this.grant(party, lease);
  }

  /** One of our tickets changed. */
  heard(id: string, entry: Entry): void {
    this.placed.get(id)?.ticket.observe(entry);
  }

  /** Everything was read: compares our tickets with it. */
  compareAll(): void {
    this.receiveAll();
    for (const party of [...this.placed.values()]) {
      const { shared, ticket } = party;
      // Others may count what was granted to it unheard, and is over.
      if (shared) this.amendSoon(party);
      for (const { key } of ticket.held) {
        const entry = this.host.board.picture.get(key);
        if (entry === undefined) ticket.lose('it is gone from the bucket');
        else ticket.observe(entry);
      }
    }
  }

  /** Listens no more for what is given to those who have left. */
  close(): void {
    this.cancelForgetting?.();
    this.stopAmending();
    this.departed.clear();
  }

  /** All tickets are gone. */
  loseAll(reason: string): void {
    for (const { ticket } of [...this.placed.values()]) ticket.lose(reason);
  }

  /** Ends those for whom waiting is no use. */
  private refuseHopeless(limit: number): void {
    const { board, keys, name } = this.host;
    if (board.corrupt.size === 0) return;
    for (const waiter of this.waiters) {
      const { count } = waiter.want;
      const unreadable = unreadablePlaces(board, keys, limit, waiter.want);
      const [first] = unreadable;
      if (first === undefined) continue;
      if (count !== 'all free' && limit - unreadable.length < count) waiter.settle(corrupt(name, ...first));
    }
  }

  /** Those who ask for the same one after another share a ticket. Who waits to read may be let in with others, by one of his own. */
  private askForTickets(): void {
    let together: Waiter[] = [];
    for (const [waiter, asked] of this.joining) {
      if (asked !== undefined) continue;
      const [first] = together;
      const alike = first?.shape === waiter.shape && waiter.want.mode === undefined;
      if (first !== undefined && !(alike && together.length < MOST_PLACES)) {
        this.askForTicket(together);
        together = [];
      }
      together.push(waiter);
    }
    if (together.length > 0) this.askForTicket(together);
  }

  private askForTicket(together: readonly Waiter[]): void {
    const asked = { abandon: new Abort(), wanted: together.length };
    for (const waiter of together) this.joining.set(waiter, asked);
    this.host.context.background.add(this.join(together, asked.abandon));
  }

  private async join(together: readonly Waiter[], abandon: Abort): Promise<void> {
    const { board, context, pump } = this.host;
    const owner = {
      freed: (entries: readonly { key: string; revision: number }[]) => this.gone(entries),
      ended: (lease: Lease) => this.left(lease),
    };
    let party: Party | undefined;
    try {
      party = await Party.join(together, this.host, owner, abandon);
    } catch (error) {
      for (const waiter of together) waiter.settle(error as Error);
    }
    for (const waiter of together) this.joining.delete(waiter);
    const waiting = together.filter((waiter) => !waiter.settled);
    if (party === undefined) {
      // It was stored and had run out before its answer came.
      for (const waiter of waiting) this.add(waiter);
    } else {
      const { id, ticket } = party;
      for (const entry of ticket.entries) board.apply(entry, context.clock.now());
      if (waiting.length === 0) {
        context.background.add(ticket.release());
        this.depart(party);
      } else if (ticket.isHeld) {
        party.waiters.splice(0, Infinity, ...waiting);
        this.placed.set(id, party);
        for (const waiter of waiting) this.partyOf.set(waiter, party);
        if (waiting.length < together.length) this.amendSoon(party);
      } else {
        this.depart(party);
        for (const waiter of waiting) this.add(waiter);
      }
      // Others have known it for a moment.
      this.receiveAll();
    }
    pump();
  }

  /**
   * Those of ours to be claimed for next, before whom nobody else waits, each for as often as it may be: or those who read at the front. They are let in
   * together: who waits to read waits only for those before him who want to write.
   * @param takingOver a slot of ours is to be taken over, which can not be refused
   */
  private *front(limit: number, takingOver = false): Generator<Party> {
    let shape: string | undefined;
    let reads = 0;
    for (const { id, ticket } of this.host.board.line(limit)) {
      const party = this.placed.get(id);
      if (ticket.mode === 'read' && shape === undefined) {
        reads++;
        if (party?.ticket.isHeld === true && party.claims.size === 0) yield party;
        continue;
      }
      if (reads > 0 || party?.ticket.isHeld !== true) return;
      shape ??= party.shape;
      if (party.shape !== shape) return;
      // Whoever is told of one claims for it before asking for the next.
      while (party.claims.size < party.waiters.length) yield party;
      if (takingOver) continue;
      for (const { takesOver } of party.claims) if (!takesOver) return;
    }
  }

  /** Claims for the first who has no ticket yet, if it needs none. Returns whether it does. */
  private claimForFirst(limit: number): boolean {
    const { board, context, feed, free } = this.host;
    const [first] = this.joining.keys();
    // Whoever waits until others have read would keep those behind it from joining.
    if (first?.want.mode === 'write' && board.readers.size > 0) return false;
    if (first === undefined || this.placed.size > 0 || this.joining.get(first) !== undefined) return false;
    if (board.head(limit) !== undefined || !feed.covers(first.joinedAt)) return false;
    const needed = slotsFor(first.want);
    const slots = free.now();
    if (slots.length < needed) return false;
    context.background.add(this.claimWithoutTicket(first, slots.slice(0, needed)));
    return true;
  }

  private async claimWithoutTicket(waiter: Waiter, slots: readonly FreeSlot[]): Promise<void> {
    const abandon = new Abort();
    this.claimingFirst = true;
    this.joining.set(waiter, { abandon, wanted: 1 });
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
    party: Party,
    slots: readonly FreeSlot[],
    after?: Succession & { readonly turnSince: number },
  ): Promise<void> {
    const claim: PartyClaim = { abandon: new Abort(), takesOver: after !== undefined };
    const { abandon } = claim;
    const over = (): void => void (party.claims.delete(claim) && this.underway--);
    party.claims.add(claim);
    this.underway++;
    try {
      // What is written over a hold is never given up half-way: the slot would stay taken.
      const signal = after === undefined ? abandon : undefined;
      const granted = await this.host.grab(slots, party.want, signal, party.id, after);
      const lease = granted && (await this.host.settleIn(granted, party.want, signal));
      over();
      if (lease === undefined) this.wasted(party);
      else this.grant(party, lease);
    } catch (error) {
      over();
      this.wasted(party);
      // That a slot could not be taken over is the business of who released it.
      if (after === undefined) party.waiters[0]?.settle(error as Error);
    }
    this.host.pump();
  }

  /** A slot is held for a ticket of ours: the first who waits gets it. */
  private grant(party: Party, lease: Lease): void {
    const queued = this.placed.has(party.id);
    const waiter = queued ? this.moveUp(party) : party.waiters.find(({ settled }) => !settled);
    // Those who are next may have been told of in the same breath.
    if (waiter === undefined) return this.host.context.background.add(caughtUp().then(() => lease.release()));
    waiter.settle(lease);
  }

  /** Puts the first of ours who waits for the like at the front of the party that is served, and those between one place ahead. */
  private moveUp(party: Party): Waiter | undefined {
    const chain: Party[] = [];
    for (const { id, order } of this.host.board.line(Infinity)) {
      if (order >= party.ticket.claimedAs) break;
      const other = this.placed.get(id);
      if (other?.shape === party.shape) chain.push(other);
    }
    chain.push(party);
    const [first, ...others] = chain.map(({ waiters }) => waiters.shift());
    for (const [i, waiter] of others.entries()) this.put(waiter, chain[i] as Party, 'last');
    this.put(first, party, 'first');
    return first;
  }

  private put(waiter: Waiter | undefined, party: Party, where: 'first' | 'last'): void {
    if (waiter === undefined) return;
    if (where === 'first') party.waiters.unshift(waiter);
    else party.waiters.push(waiter);
    this.partyOf.set(waiter, party);
  }

  /** What was granted to the ticket serves nobody: others count it, and would let somebody go first before all of ours are served. */
  private wasted(party: Party): void {
    if (!party.shared || !this.placed.has(party.id)) return;
    party.short = true;
    this.amend(party);
  }

  /** Has the ticket say how many wait with it, in a moment. */
  private amendSoon(party: Party): void {
    party.outdated = true;
    this.cancelAmending ??= this.host.context.clock.after(AMEND_MS, () => {
      this.cancelAmending = undefined;
      for (const each of this.placed.values()) if (each.outdated) this.amend(each);
    });
  }

  private amend(party: Party): void {
    if (party.amending) return;
    party.amending = true;
    party.outdated = party.short = false;
    const over = (): void => {
      party.amending = false;
      if (!this.placed.has(party.id)) return;
      if (party.short) this.amend(party);
      else if (party.outdated) this.amendSoon(party);
    };
    // One that was refused is made up for by the next renewal, which is no further away than a third of the ticket's ttl.
    this.host.context.background.add(party.ticket.renew().then(over, over));
  }

  /** Something was read: looks for what was given to us. */
  receiveAll(): void {
    if (this.placed.size + this.departed.size === 0) return;
    for (const taken of [...this.host.board.taken.values()]) this.receive(taken);
  }

  private gone(entries: readonly { key: string; revision: number }[]): void {
    const { board, context, pump } = this.host;
    const { clock } = context;
    for (const { key, revision } of entries) {
      board.apply({ key, revision, value: null, writtenAt: clock.wallTime() }, clock.now());
    }
    pump();
  }

  /** A ticket was given back, or lost: then those who wait with it join again, at the end. */
  private left(ticket: Lease): void {
    const party = this.placed.get(ticket.id);
    if (party === undefined) return;
    this.depart(party);
    for (const waiter of party.waiters) {
      this.partyOf.delete(waiter);
      this.add(waiter);
    }
    this.host.pump();
  }

  /** Nobody waits with the ticket any more; what is given to it is listened for a moment longer. */
  private depart(party: Party, until = this.host.context.clock.now() + LINGER_MS): void {
    this.placed.delete(party.id);
    if (this.placed.size === 0) this.stopAmending();
    if (this.host.isClosed) return;
    this.departed.set(party.id, { party, until });
    if (this.departed.size === 1) this.forgetAt(until);
  }

  private stopAmending(): void {
    this.cancelAmending?.();
    this.cancelAmending = undefined;
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
