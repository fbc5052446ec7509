import { Abort, type Aborting } from './abort';
import { isoTime } from './clock';
import type { Context } from './context';
import { GIVEN_MS } from './hand-over';
import { newId } from './id';
import type { Keys } from './keys';
import { Lease, type LeaseOwner } from './lease';
import { type Ticket, encodeRecord } from './record';
import type { Waiter, Want } from './waiter';

/**
 * How long a place in the queue outlives the process that waits in it, in ms. All tickets of dead processes run out at
 * once, so the queue stalls no longer than this plus a second, however many died. A live waiter renews its ticket every
 * 2.7 to 3.3 s, which is what a longer time would save.
 */
export const TICKET_TTL_MS = 10_000;

/** Of its ttl: a slot can be given only to a ticket that was written a short time ago. */
const RENEW_AT = 0.27;

/** A claim under way for one of a party. */
export interface PartyClaim {
  readonly abandon: Abort;
  /** Whether it is written over a hold of ours, which can not be refused, but for faults. */
  readonly takesOver: boolean;
}

/** Waiters of this process who asked for the same in the same moment: they queue with one ticket, one behind the other. */
export class Party {
  readonly claims = new Set<PartyClaim>();
  /** Permits of the slots given to the ticket that were dealt with. */
  readonly received = new Set<string>();
  /** Whether others may count more who wait with the ticket than do. */
  outdated = false;
  /** Whether they may count fewer. */
  short = false;
  /** Whether the ticket is being written to mend that. */
  amending = false;

  private constructor(
    /** First come first; some may have changed places with others of ours. */
    readonly waiters: Waiter[],
    /** Whether the ticket says how many they are. */
    readonly shared: boolean,
    readonly want: Want,
    readonly shape: string,
    readonly ticket: Lease,
  ) {}

  get id(): string {
    return this.ticket.id;
  }

  /** Whether slots can be given to its ticket. */
  get takesGiven(): boolean {
    return takesGiven(this.want);
  }

  /** How many slots each of them needs. */
  get needs(): number {
    return slotsFor(this.want);
  }

  /**
   * Puts a ticket into the bucket. Resolves with undefined if that was abandoned, or it had run out before the answer came.
   * @param together all of one shape, at least one
   */
  static async join(
    together: readonly Waiter[],
    { context, keys, name }: { readonly context: Context; readonly keys: Keys; readonly name: string },
    owner: LeaseOwner,
    abandon: Aborting,
  ): Promise<Party | undefined> {
    const waiters = [...together];
    const { shape, want } = waiters[0] as Waiter;
    const id = newId();
    const key = keys.ticket(id);
    const ticket: Ticket = {
      holder: context.holder,
      since: isoTime(context.clock.wallTime()),
      ttl: TICKET_TTL_MS,
      count: slotsFor(want),
      ...(want.mode === undefined ? {} : { mode: want.mode }),
      ...(takesGiven(want) ? { holdTtl: want.ttl } : {}),
      ...(want.metadata === undefined ? {} : { meta: want.metadata }),
    };
    const shared = waiters.length > 1;
    const encode = (ttl: number, token?: number): string => {
      const places = shared ? Math.max(1, waiters.length) : undefined;
      return encodeRecord({ ...ticket, ttl, places, token });
    };
    const write = { key, expected: 0, value: encode(TICKET_TTL_MS), ttl: TICKET_TTL_MS };
    const result = await context.store.commit([write], { abandon });
    if (!result.committed) return undefined;
    const lease = new Lease(context, owner, {
      primitive: name,
      record: { id, encode: (_, ttl, token) => encode(ttl, token), owns: () => true },
      ttl: TICKET_TTL_MS,
      slots: [{ slot: 0, key, revision: result.revisions[0] as number }],
      sentAt: result.sentAt,
      autoRenew: true,
      renewAt: RENEW_AT,
    });
    return new Party(waiters, shared, want, shape, lease);
  }

  /** One of them waits no more: claims that none of them is left for are given up. */
  leave(waiter: Waiter): void {
    const index = this.waiters.indexOf(waiter);
    if (index >= 0) this.waiters.splice(index, 1);
    let spare = this.claims.size - this.waiters.length;
    // What is written over a hold is never given up half-way.
    for (const { abandon, takesOver } of this.claims) if (!takesOver && spare-- > 0) abandon.abort();
  }
}

/** Whether a slot can be given to it: one, for long enough, that it does not keep for others afterwards. */
function takesGiven({ count, mode, retain, ttl }: Want): boolean {
  return count === 1 && mode === undefined && retain === 0 && ttl >= GIVEN_MS;
}

export function slotsFor({ count }: Want): number {
  return count === 'all free' ? 1 : count;
}
