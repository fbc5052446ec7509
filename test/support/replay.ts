import type { Change } from './history';

/** What a change does to a semaphore. */
export type Deed =
  | 'claim'
  | 'passed on'
  | 'kept'
  | 'granted again'
  | 'hold renewed'
  | 'slot freed'
  | 'ticket made'
  | 'ticket renewed'
  | 'ticket gone'
  | 'limit set'
  | 'limit gone';

export interface ReplayedHold {
  readonly permit: string;
  readonly ticket: string | undefined;
  /** Revision of the claim. */
  readonly token: number;
}

interface Fields {
  permit?: string;
  ticket?: string;
  after?: string;
  token?: number;
  kept?: boolean;
  slots?: number;
  since?: string;
}

/**
 * One semaphore as its keys show it, revision by revision. It reads them by itself, so as to share no mistake with the
 * library.
 */
export class Replay {
  limit = 0;
  readonly holds = new Map<number, ReplayedHold>();
  /** Tickets in the bucket, with the revision that created each. */
  readonly tickets = new Map<string, number>();
  /** Of every ticket there ever was. */
  readonly created = new Map<string, number>();
  /** When each ticket says that its waiter came. */
  readonly since = new Map<string, string>();
  private readonly prefix: string;

  constructor(name: string) {
    this.prefix = `sem.${name}.`;
  }

  /** Takes in a change; undefined if it is none of this semaphore's. */
  apply({ key, value, revision }: Change): Deed | undefined {
    if (!key.startsWith(this.prefix)) return undefined;
    const [part, which = ''] = key.slice(this.prefix.length).split('.');
    const fields = value === null ? undefined : (JSON.parse(value) as Fields);
    switch (part) {
      case 'limit':
        this.limit = fields?.slots ?? 0;
        return fields === undefined ? 'limit gone' : 'limit set';
      case 'slot':
        return this.slot(Number(which), fields, revision);
      case 'ticket':
        return this.ticket(which, fields, revision);
      case 'wish':
        return undefined;
      default:
        throw new Error(`unknown key ${key}`);
    }
  }

  /** Tickets that wait, first come first: those in the bucket that no hold serves. */
  get queue(): string[] {
    const { served } = this;
    return [...this.tickets]
      .filter(([id]) => !served.has(id))
      .sort(([, a], [, b]) => a - b)
      .map(([id]) => id);
  }

  /** Whether anybody waits with a ticket. */
  get queued(): boolean {
    const { served } = this;
    for (const id of this.tickets.keys()) if (!served.has(id)) return true;
    return false;
  }

  /** Tickets that a hold serves. */
  private get served(): Set<string | undefined> {
    return new Set([...this.holds.values()].map(({ ticket }) => ticket));
  }

  private slot(slot: number, fields: Fields | undefined, revision: number): Deed {
    const before = this.holds.get(slot);
    if (fields === undefined) {
      this.holds.delete(slot);
      return 'slot freed';
    }
    const { permit = '', ticket, token, after, kept } = fields;
    if (after !== undefined) {
      if (before?.permit !== after)
        throw new Error(
          `revision ${revision} takes slot ${slot} over from ${after}, but ${before?.permit ?? 'nobody'} holds it`,
        );
      this.holds.set(slot, { permit, ticket, token: token ?? revision });
      if (kept === true) return 'kept';
      return token === undefined ? 'passed on' : 'granted again';
    }
    if (token === undefined) {
      if (before !== undefined)
        throw new Error(`revision ${revision} claims slot ${slot}, which ${before.permit} holds`);
      this.holds.set(slot, { permit, ticket, token: revision });
      return 'claim';
    }
    if (before?.permit !== permit)
      throw new Error(`revision ${revision} renews slot ${slot}, which ${before?.permit ?? 'nobody'} holds`);
    return 'hold renewed';
  }

  private ticket(id: string, fields: Fields | undefined, revision: number): Deed {
    if (fields === undefined) {
      this.tickets.delete(id);
      return 'ticket gone';
    }
    this.since.set(id, fields.since ?? '');
    if (fields.token !== undefined) {
      // Its beginning may have been missed while the server was away.
      this.tickets.set(id, fields.token);
      this.created.set(id, fields.token);
      return 'ticket renewed';
    }
    this.tickets.set(id, revision);
    this.created.set(id, revision);
    return 'ticket made';
  }
}

/** Whether somebody was given a slot, by claiming a free one or by taking it over from whoever released it. */
export function isGrant(deed: Deed): boolean {
  return deed === 'claim' || deed === 'passed on';
}

/** The first grant that serves a ticket. */
export interface Served {
  readonly ticket: string;
  /** Revision that created the ticket. */
  readonly order: number;
  /** Revision of the claim. */
  readonly revision: number;
  readonly permit: string;
}

export interface QueueReport {
  readonly served: readonly Served[];
  /** Claims that serve a ticket younger than one that an earlier claim served. */
  readonly inversions: readonly (readonly [earlier: Served, later: Served])[];
  /** Highest number of slots at once that were held by those who had queued. */
  readonly peak: number;
  /** Revisions that left more slots taken than the limit allows. */
  readonly above: readonly number[];
  /** How often each thing happened. */
  readonly deeds: Readonly<Partial<Record<Deed, number>>>;
  /** Spans in which a slot was free, somebody queued, and nobody was granted anything; in ms by the server's clock. */
  readonly stalls: readonly { readonly from: number; readonly ms: number }[];
}

/** What became of those who queue for single slots of one semaphore. */
export function replayQueue(name: string, changes: readonly Change[]): QueueReport {
  const replay = new Replay(name);
  const served: Served[] = [];
  const inversions: (readonly [Served, Served])[] = [];
  const stalls: { from: number; ms: number }[] = [];
  const deeds: Partial<Record<Deed, number>> = {};
  const above: number[] = [];
  let latest: Served | undefined;
  let peak = 0;
  let openSince: number | undefined;
  for (const change of changes) {
    const deed = replay.apply(change);
    if (deed === undefined) continue;
    deeds[deed] = (deeds[deed] ?? 0) + 1;
    const queuers = [...replay.holds.values()].filter(({ ticket }) => ticket !== undefined);
    peak = Math.max(peak, queuers.length);
    if (replay.holds.size > replay.limit) above.push(change.revision);
    if (isGrant(deed)) {
      const { ticket, permit } = [...replay.holds.values()].find(({ token }) => token === change.revision)!;
      if (ticket !== undefined) {
        const order = replay.created.get(ticket) ?? 0;
        const own = { ticket, order, revision: change.revision, permit };
        // Two may give to it at once, or its first grant may run out unheard: it was served when others were served after it.
        if (!served.some((other) => other.ticket === ticket)) {
          served.push(own);
          if (latest !== undefined && own.order < latest.order) inversions.push([latest, own]);
          if (latest === undefined || own.order > latest.order) latest = own;
        }
      }
    }
    const open = replay.holds.size < replay.limit && replay.queued;
    if (openSince !== undefined && (!open || isGrant(deed))) {
      stalls.push({ from: openSince, ms: change.storedAt - openSince });
      openSince = undefined;
    }
    if (open) openSince ??= change.storedAt;
  }
  return { served, inversions, peak, above, deeds, stalls };
}
