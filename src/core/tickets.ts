import { Abort, type Aborting } from './abort';
import type { Entry } from '../store/store';
import { isoTime } from './clock';
import { newId } from './id';
import { Lease } from './lease';
import { type Host, unreadableSlots } from './line';
import type { FreeSlot } from './plan';
import { type Ticket, encodeRecord } from './record';
import { corrupt } from './refusals';
import type { Waiter } from './waiter';

/**
 * How long a place in the queue outlives the process that waits in it, in ms. All tickets of dead processes run out at
 * once, so the queue stalls no longer than this plus a second, however many died. A live waiter renews its ticket every
 * third of it, which is what a longer time would save.
 */
export const TICKET_TTL_MS = 10_000;

/** A waiter's place in the queue that all processes see. */
interface Place {
  readonly waiter: Waiter;
  readonly ticket: Lease;
}

/**
 * Those of this process who wait with a ticket: a key in the bucket, whose first revision is the place in the queue.
 *
 * Invariant: a claim is made only for the first of all tickets that are not served yet, whoever's it is. The board knows of
 * every ticket older than one of ours: each was announced before the answer that created ours. Nobody else may claim for
 * it, so a released slot costs the same number of writes however many wait.
 */
export class TicketLine {
  private readonly placed = new Map<string, Place>();
  private readonly placeOf = new Map<Waiter, Place>();
  /** Who is about to get a ticket, with how to stop that once it is asked for. */
  private readonly joining = new Map<Waiter, Abort | undefined>();
  private claim: { readonly waiter: Waiter; readonly abandon: Abort } | undefined;

  constructor(private readonly host: Host) {}

  get waiters(): Waiter[] {
    return [...this.joining.keys(), ...this.placeOf.keys()];
  }

  get size(): number {
    return this.joining.size + this.placed.size;
  }

  add(waiter: Waiter): void {
    this.joining.set(waiter, undefined);
  }

  remove(waiter: Waiter): void {
    const asked = this.joining.get(waiter);
    if (asked === undefined) this.joining.delete(waiter);
    else asked.abort();
    if (this.claim?.waiter === waiter) this.claim.abandon.abort();
    const place = this.placeOf.get(waiter);
    if (place !== undefined) this.host.context.background.add(place.ticket.release());
  }

  serve(limit: number): void {
    if (this.size === 0) return;
    const { board, context, feed, free } = this.host;
    feed.watch(true);
    feed.start();
    // A place is certain only when everything older is known: ask for one when the board shows everything.
    if (!feed.live) return;
    this.refuseHopeless(limit);
    this.askForTickets();
    if (this.claim !== undefined) return;
    const head = board.head(limit);
    const own = head && this.placed.get(head.id);
    if (own === undefined || !own.ticket.isHeld) return;
    const { count } = own.waiter.want;
    const slots = free.now();
    const needed = count === 'all free' ? 1 : count;
    if (slots.length >= needed) context.background.add(this.claimFor(own, slots.slice(0, needed)));
  }

  /** One of our tickets changed. */
  heard(id: string, entry: Entry): void {
    this.placed.get(id)?.ticket.observe(entry);
  }

  /** Everything was read: compares our tickets with it. */
  compareAll(): void {
    for (const { ticket } of [...this.placed.values()]) {
      for (const { key } of ticket.held) {
        const entry = this.host.board.picture.get(key);
        if (entry === undefined) ticket.lose('it is gone from the bucket');
        else ticket.observe(entry);
      }
    }
  }

  /** All tickets are gone. */
  loseAll(reason: string): void {
    for (const { ticket } of [...this.placed.values()]) ticket.lose(reason);
  }

  /** Ends those for whom waiting is no use. */
  private refuseHopeless(limit: number): void {
    const { board, keys, name } = this.host;
    const unreadable = unreadableSlots(board, keys, limit);
    const [first] = unreadable;
    if (first === undefined) return;
    for (const waiter of this.waiters) {
      const { count } = waiter.want;
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
    const { board, context, pump } = this.host;
    let ticket: Lease | undefined;
    try {
      ticket = await this.createTicket(waiter, abandon);
    } catch (error) {
      waiter.settle(error as Error);
    }
    this.joining.delete(waiter);
    if (ticket !== undefined) {
      for (const entry of ticket.entries) board.apply(entry, context.clock.now());
      if (waiter.settled) {
        context.background.add(ticket.release());
      } else if (ticket.isHeld) {
        const place = { waiter, ticket };
        this.placed.set(ticket.id, place);
        this.placeOf.set(waiter, place);
      } else {
        this.add(waiter);
      }
    } else if (!waiter.settled) {
      // It was stored and had run out before its answer came.
      this.add(waiter);
    }
    pump();
  }

  private async createTicket(waiter: Waiter, abandon: Aborting): Promise<Lease | undefined> {
    const { context, keys, name } = this.host;
    const { count, metadata } = waiter.want;
    const id = newId();
    const key = keys.ticket(id);
    const ticket: Ticket = {
      holder: context.holder,
      since: isoTime(context.clock.wallTime()),
      ttl: TICKET_TTL_MS,
      count: count === 'all free' ? 1 : count,
      ...(metadata === undefined ? {} : { meta: metadata }),
    };
    const write = { key, expected: 0, value: encodeRecord(ticket), ttl: TICKET_TTL_MS };
    const result = await context.store.commit([write], { abandon });
    if (!result.committed) return undefined;
    const owner = {
      freed: (entries: readonly { key: string; revision: number }[]) => this.gone(entries),
      ended: (lease: Lease) => this.left(lease),
    };
    return new Lease(context, owner, {
      primitive: name,
      record: { id, encode: (_, ttl, token) => encodeRecord({ ...ticket, ttl, token }), owns: () => true },
      ttl: TICKET_TTL_MS,
      slots: [{ slot: 0, key, revision: result.revisions[0] as number }],
      sentAt: result.sentAt,
      autoRenew: true,
    });
  }

  private async claimFor({ waiter, ticket }: Place, slots: readonly FreeSlot[]): Promise<void> {
    const abandon = new Abort();
    this.claim = { waiter, abandon };
    try {
      const lease = await this.host.grab(slots, waiter.want, abandon.signal, ticket.id);
      if (lease !== undefined && waiter.settled) this.host.context.background.add(lease.release());
      else if (lease !== undefined) waiter.settle(lease);
    } catch (error) {
      waiter.settle(error as Error);
    }
    this.claim = undefined;
    this.host.pump();
  }

  private gone(entries: readonly { key: string; revision: number }[]): void {
    const { board, context, pump } = this.host;
    const { clock } = context;
    for (const { key, revision } of entries) {
      board.apply({ key, revision, value: null, writtenAt: clock.wallTime() }, clock.now());
    }
    pump();
  }

  /** A ticket was given back, or lost: then its waiter joins again, at the end. */
  private left(ticket: Lease): void {
    const place = this.placed.get(ticket.id);
    if (place === undefined) return;
    this.placed.delete(ticket.id);
    this.placeOf.delete(place.waiter);
    if (!place.waiter.settled) this.add(place.waiter);
    this.host.pump();
  }
}
