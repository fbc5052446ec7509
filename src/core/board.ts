import type { Entry } from '../store/store';
import type { Keys } from './keys';
import { Picture, type Known } from './picture';
import {
  type Decoded,
  type Hold,
  type Limit,
  type Ticket,
  decodeHold,
  decodeLimit,
  decodeTicket,
} from './record';

/** A slot that is not free: held, or not readable and therefore taken. Also the hold of one who reads, which has none. */
export interface TakenSlot {
  readonly slot: number;
  readonly entry: Known;
  readonly hold: Decoded<Hold>;
}

/** A place in the queue. */
export interface QueuedTicket {
  readonly id: string;
  /** Revision that created it: the queue's order. */
  readonly order: number;
  readonly entry: Known;
  readonly ticket: Ticket;
}

/**
 * The picture of one primitive, read as what it means: its limit, who holds which slot, who waits in which order. Kept up
 * to date entry by entry, so that looking costs the same however many wait.
 */
export class Board {
  readonly picture = new Picture((key, known) => this.reread(key, known));
  private readonly takenSlots = new Map<number, TakenSlot>();
  private readonly readHolds = new Map<string, TakenSlot>();
  private readonly ticketOf = new Map<string, QueuedTicket>();
  private readonly places: QueuedTicket[] = [];
  /** How many holds name a ticket. */
  private readonly named = new Map<string, number>();
  /** Of a ticket with several places: the permits granted to it since it was last written, each with its revision. */
  private readonly grants = new Map<string, Map<string, number>>();
  /** Permits that are about to name a ticket. */
  private readonly expected = new Map<string, Set<string>>();
  private readonly unreadable = new Map<string, string>();
  private readonly retainingSlots = new Set<number>();
  private readonly keptSlots = new Set<number>();
  private readonly wishIds = new Set<string>();
  private storedLimit: { limit: Decoded<Limit>; revision: number } | undefined;

  constructor(private readonly keys: Keys) {}

  /** The limit as stored; undefined if none is known to be. */
  get limit(): { readonly limit: Decoded<Limit>; readonly revision: number } | undefined {
    return this.storedLimit;
  }

  get taken(): ReadonlyMap<number, TakenSlot> {
    return this.takenSlots;
  }

  /** Taken slots whose process keeps them after a release. */
  get retaining(): ReadonlySet<number> {
    return this.retainingSlots;
  }

  /** Taken slots that nobody holds: a process keeps them for itself until somebody else wants them. */
  get kept(): ReadonlySet<number> {
    return this.keptSlots;
  }

  /** Processes that wait for what others keep. */
  get wishes(): ReadonlySet<string> {
    return this.wishIds;
  }

  /** Who reads under a read-write lock, by permit; and what can not be read in such a place. */
  get readers(): ReadonlyMap<string, TakenSlot> {
    return this.readHolds;
  }

  /** Whether there is such a primitive: a stored limit, a holder, or somebody who queues. */
  get exists(): boolean {
    return this.limit !== undefined || this.taken.size + this.readers.size + this.queue.length > 0;
  }

  /** All tickets, also of those already served. */
  get tickets(): readonly QueuedTicket[] {
    return this.places;
  }

  /** Those who wait, first come first; those already served left out. */
  get queue(): QueuedTicket[] {
    return this.places.filter((ticket) => this.waitingWith(ticket) > 0);
  }

  /** Who is to be served next under a limit. Who wants more than that is to leave, and passed over until he does. */
  head(limit: number): QueuedTicket | undefined {
    return this.places.find((ticket) => ticket.ticket.count <= limit && this.waitingWith(ticket) > 0);
  }

  /** Who is to be served under a limit, first come first. */
  *line(limit: number): Generator<QueuedTicket> {
    for (const ticket of this.places)
      if (ticket.ticket.count <= limit && this.waitingWith(ticket) > 0) yield ticket;
  }

  /** Keys whose value can not be read, with the reason. */
  get corrupt(): ReadonlyMap<string, string> {
    return this.unreadable;
  }

  /** Whether every taken slot lies within a limit. After a shrink some may not. */
  fits(limit: number): boolean {
    for (const slot of this.takenSlots.keys()) if (slot >= limit) return false;
    return true;
  }

  /** Whether nobody waits with the ticket any more, as far as holds tell. */
  isServed(id: string): boolean {
    const ticket = this.ticketOf.get(id);
    return ticket === undefined ? this.named.has(id) : this.waitingWith(ticket) === 0;
  }

  /** How many wait with a ticket. */
  waitingWith({ id, ticket: { places } }: QueuedTicket): number {
    const expected = this.expected.get(id);
    if (places === undefined) return expected !== undefined || this.named.has(id) ? 0 : 1;
    const granted = this.grants.get(id);
    let count = granted?.size ?? 0;
    // What was announced before its answer came is counted already.
    if (expected !== undefined) for (const permit of expected) if (granted?.has(permit) !== true) count++;
    return Math.max(0, places - count);
  }

  /** Counts one who waits with a ticket as served, by a permit under way, until the returned function is called. */
  serve(ticket: string, permit: string): () => void {
    const permits = this.expected.get(ticket) ?? new Set<string>();
    this.expected.set(ticket, permits.add(permit));
    return () => {
      if (permits.delete(permit) && permits.size === 0) this.expected.delete(ticket);
    };
  }

  apply(entry: Entry, heardAt: number): boolean {
    return this.picture.apply(entry, heardAt);
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
      else this.leave(part.id, undefined);
      return;
    }
    if (part.part === 'limit') {
      this.storedLimit = { limit: this.check(key, decodeLimit(value)), revision: known.revision };
    } else if (part.part === 'slot') {
      this.vacateSlot(part.slot);
      const hold = this.check(key, decodeHold(value));
      this.occupy(this.takenSlots, part.slot, known, hold);
      if (hold.ok && hold.record.retain !== undefined) this.retainingSlots.add(part.slot);
      if (hold.ok && hold.record.kept === true) this.keptSlots.add(part.slot);
    } else if (part.part === 'reader') {
      this.occupy(this.readHolds, part.id, known, this.check(key, decodeHold(value)));
    } else if (part.part === 'wish') {
      this.wishIds.add(part.id);
    } else {
      const ticket = this.check(key, decodeTicket(value));
      // One that can not be read has no place: nobody can know for how long it would block the others.
      const record = ticket.ok ? ticket.record : undefined;
      this.leave(part.id, record);
      if (record !== undefined)
        this.enter({ id: part.id, order: record.token ?? known.revision, entry: known, ticket: record });
    }
  }

  private check<T>(key: string, decoded: Decoded<T>): Decoded<T> {
    if (!decoded.ok) this.unreadable.set(key, decoded.reason);
    return decoded;
  }

  private occupy<K>(holds: Map<K, TakenSlot>, place: K, entry: Known, hold: Decoded<Hold>): void {
    this.vacate(holds, place);
    const taken = { slot: typeof place === 'number' ? place : 0, entry, hold };
    holds.set(place, taken);
    if (!hold.ok || hold.record.ticket === undefined) return;
    add(this.named, hold.record.ticket, 1);
    this.countGrant(hold.record.ticket, taken);
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
      add(this.named, before.hold.record.ticket, -1);
  }

  /** A hold that was granted before the ticket was last written is not counted: that write did not count on it any more. */
  private countGrant(id: string, { entry, hold }: TakenSlot): void {
    const ticket = this.ticketOf.get(id);
    if (ticket?.ticket.places === undefined || !hold.ok) return;
    const granted = hold.record.token ?? entry.revision;
    if (granted > ticket.entry.revision) this.grants.get(id)?.set(hold.record.permit, granted);
  }

  private enter(ticket: QueuedTicket): void {
    const { id, entry } = ticket;
    this.ticketOf.set(id, ticket);
    this.places.splice(this.placeOf(ticket.order), 0, ticket);
    if (ticket.ticket.places === undefined) return;
    const counted = this.grants.get(id);
    if (counted !== undefined) {
      for (const [permit, granted] of counted) if (granted < entry.revision) counted.delete(permit);
    } else {
      this.grants.set(id, new Map());
      for (const taken of this.takenSlots.values())
        if (taken.hold.ok && taken.hold.record.ticket === id) this.countGrant(id, taken);
    }
  }

  /** @param next what it is written as now, if it is */
  private leave(id: string, next: Ticket | undefined): void {
    if (next?.places === undefined) this.grants.delete(id);
    const ticket = this.ticketOf.get(id);
    if (ticket === undefined) return;
    this.ticketOf.delete(id);
    this.places.splice(this.places.indexOf(ticket, this.placeOf(ticket.order)), 1);
  }

  /** Index of the first in line with that order or a later one. */
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

function add(counts: Map<string, number>, key: string, change: number): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
