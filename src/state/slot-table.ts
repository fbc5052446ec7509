import type { Entry } from '../store/store';
import type { Decoded } from '../protocol/decode';
import type { Keys } from '../protocol/keys';
import { EntryCache, type Known } from './entry-cache';
import {
  type Hold,
  type Limit,
  type Ticket,
  decodeHold,
  decodeLimit,
  decodeTicket,
  decodeWish,
} from '../protocol/records';

/** A slot that is not free: it is held, or its entry can not be decoded and so counts as taken. Also the hold of a reader (no slot). */
export interface TakenSlot {
  readonly slot: number;
  readonly entry: Known;
  readonly hold: Decoded<Hold>;
}

/** From so many tickets on, abandoned places are removed many at a time. One by one, each removal would move all places behind it. */
const LONG_QUEUE = 1_000;

/** A place in the fair queue. */
export interface QueuedTicket {
  readonly id: string;
  /** Revision that created the ticket. It gives the order of the queue. */
  readonly order: number;
  readonly entry: Known;
  readonly ticket: Ticket;
}

/**
 * The entries of one primitive, decoded: its limit, the holder of each slot, the waiters in their order. The table is updated
 * entry by entry, so that a lookup costs the same however many waiters there are.
 */
export class SlotTable {
  readonly entries = new EntryCache((key, known) => this.reread(key, known));
  private readonly takenSlots = new Map<number, TakenSlot>();
  private readonly readHolds = new Map<string, TakenSlot>();
  private readonly ticketOf = new Map<string, QueuedTicket>();
  private places: QueuedTicket[] = [];
  /** How many of the places are abandoned and not removed yet: see {@link LONG_QUEUE}. */
  private left = 0;
  /** How many holds name a ticket. While at least one does, the ticket counts as served. */
  private readonly served = new Map<string, number>();
  private readonly unreadable = new Map<string, string>();
  private readonly retainingSlots = new Set<number>();
  private readonly keptSlots = new Set<number>();
  private readonly wishIds = new Set<string>();
  private storedLimit: { limit: Decoded<Limit>; revision: number } | undefined;

  constructor(private readonly keys: Keys) {}

  /** The stored limit; undefined if none is known. */
  get limit(): { readonly limit: Decoded<Limit>; readonly revision: number } | undefined {
    return this.storedLimit;
  }

  get taken(): ReadonlyMap<number, TakenSlot> {
    return this.takenSlots;
  }

  /** Taken slots that their process will retain after a release. */
  get retaining(): ReadonlySet<number> {
    return this.retainingSlots;
  }

  /** Retained slots: they count as taken but have no holder. A process retains them until another process wants them. */
  get kept(): ReadonlySet<number> {
    return this.keptSlots;
  }

  /** Demand notices: ids of processes that wait for slots which other processes retain. */
  get wishes(): ReadonlySet<string> {
    return this.wishIds;
  }

  /** Readers of a read-write lock, by permit. Includes entries in such a place that can not be decoded. */
  get readers(): ReadonlyMap<string, TakenSlot> {
    return this.readHolds;
  }

  /** Whether the primitive exists: it has a stored limit, a taken slot, a reader or a waiter in the queue. */
  get exists(): boolean {
    return this.limit !== undefined || this.taken.size + this.readers.size + this.queue.length > 0;
  }

  /** All tickets, including the tickets that are already served. */
  get tickets(): readonly QueuedTicket[] {
    return this.left === 0 ? this.places : this.places.filter((ticket) => this.stands(ticket));
  }

  /** The tickets that wait, in order of arrival, without the tickets that are already served. */
  get queue(): QueuedTicket[] {
    return this.tickets.filter(({ id }) => !this.served.has(id));
  }

  /** The ticket to serve next under a limit. Tickets that want more than the limit are skipped: their waiters will leave the queue. */
  head(limit: number): QueuedTicket | undefined {
    return this.places.find((ticket) => this.isWaiting(ticket, limit));
  }

  /** The tickets to serve under a limit, in order of arrival. */
  *line(limit: number): Generator<QueuedTicket> {
    for (const ticket of this.places) if (this.isWaiting(ticket, limit)) yield ticket;
  }

  /** Keys whose value can not be decoded, with the reason. */
  get corrupt(): ReadonlyMap<string, string> {
    return this.unreadable;
  }

  /** Whether every taken slot lies within a limit. After the limit is lowered some may not. */
  fits(limit: number): boolean {
    for (const slot of this.takenSlots.keys()) if (slot >= limit) return false;
    return true;
  }

  /** Whether a hold names the ticket. */
  isServed(ticket: string): boolean {
    return this.served.has(ticket);
  }

  /** Counts a ticket as served until the returned function is called. */
  serve(ticket: string): () => void {
    this.countServed(ticket, 1);
    return () => this.countServed(ticket, -1);
  }

  apply(entry: Entry, heardAt: number): boolean {
    return this.entries.apply(entry, heardAt);
  }

  /** Whether the place is to be served under a limit. */
  private isWaiting(place: QueuedTicket, limit: number): boolean {
    return place.ticket.count <= limit && !this.served.has(place.id) && this.stands(place);
  }

  private stands(place: QueuedTicket): boolean {
    return this.left === 0 || this.ticketOf.get(place.id) === place;
  }

  private reread(key: string, known: Known | undefined): void {
    const part = this.keys.parse(key);
    if (part === undefined) return;
    this.unreadable.delete(key);
    const value = known?.value ?? null;
    if (known === undefined || value === null) {
      if (part.part === 'limit') this.storedLimit = undefined;
      else if (part.part === 'slot') this.vacateSlot(part.slot);
      else if (part.part === 'reader') this.vacate(this.readHolds, part.id);
      else if (part.part === 'wish') this.wishIds.delete(part.id);
      else if (part.part === 'ticket') this.leave(part.id);
      return;
    }
    if (part.part === 'limit') {
      this.storedLimit = { limit: this.check(key, decodeLimit(value, known)), revision: known.revision };
    } else if (part.part === 'slot') {
      this.vacateSlot(part.slot);
      const hold = this.check(key, decodeHold(value, known));
      this.occupy(this.takenSlots, part.slot, known, hold);
      if (hold.ok && hold.record.retain !== undefined) this.retainingSlots.add(part.slot);
      if (hold.ok && hold.record.kept === true) this.keptSlots.add(part.slot);
    } else if (part.part === 'reader') {
      this.occupy(this.readHolds, part.id, known, this.check(key, decodeHold(value, known)));
    } else if (part.part === 'wish') {
      // A demand notice that can not be decoded counts as absent: it demands nothing.
      if (this.check(key, decodeWish(value, known)).ok) this.wishIds.add(part.id);
      else this.wishIds.delete(part.id);
    } else if (part.part === 'ticket') {
      const ticket = this.check(key, decodeTicket(value, known));
      this.leave(part.id);
      // A ticket that can not be decoded gets no place: there is no telling how long it would block the others.
      if (ticket.ok)
        this.enter({
          id: part.id,
          order: ticket.record.token ?? known.revision,
          entry: known,
          ticket: ticket.record,
        });
    }
  }

  private check<T>(key: string, decoded: Decoded<T>): Decoded<T> {
    if (!decoded.ok) this.unreadable.set(key, decoded.reason);
    return decoded;
  }

  private occupy<K>(holds: Map<K, TakenSlot>, place: K, entry: Known, hold: Decoded<Hold>): void {
    this.vacate(holds, place);
    holds.set(place, { slot: typeof place === 'number' ? place : 0, entry, hold });
    if (hold.ok && hold.record.ticket !== undefined) this.countServed(hold.record.ticket, 1);
  }

  private vacateSlot(slot: number): void {
    this.vacate(this.takenSlots, slot);
    this.retainingSlots.delete(slot);
    this.keptSlots.delete(slot);
  }

  private vacate<K>(holds: Map<K, TakenSlot>, place: K): void {
    const before = holds.get(place);
    if (before === undefined) return;
    holds.delete(place);
    if (before.hold.ok && before.hold.record.ticket !== undefined)
      this.countServed(before.hold.record.ticket, -1);
  }

  private countServed(ticket: string, change: number): void {
    const count = (this.served.get(ticket) ?? 0) + change;
    if (count > 0) this.served.set(ticket, count);
    else this.served.delete(ticket);
  }

  private enter(ticket: QueuedTicket): void {
    this.ticketOf.set(ticket.id, ticket);
    this.places.splice(this.placeOf(ticket.order), 0, ticket);
  }

  private leave(id: string): void {
    const ticket = this.ticketOf.get(id);
    if (ticket === undefined) return;
    this.ticketOf.delete(id);
    if (this.places.length < LONG_QUEUE) {
      this.places.splice(this.places.indexOf(ticket, this.placeOf(ticket.order)), 1);
    } else if (++this.left * 2 > this.places.length) {
      this.places = this.places.filter((place) => this.ticketOf.get(place.id) === place);
      this.left = 0;
    }
  }

  /** Index of the first place with that order or a later one. */
  private placeOf(order: number): number {
    let low = 0;
    let high = this.places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.places[middle] as QueuedTicket).order < order) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
