import { BackendUnavailableError } from '../errors';
import type { Aborting } from '../runtime/cancellation';
import type { CommitResult, Entry, Write } from '../store/store';
import type { Context } from '../store/context';
import type { Primitive } from '../state/primitive-state';
import { newId } from '../runtime/id';
import { type HeldSlot, Lease, type LeaseOwner, type Succession } from '../lease/lease';
import { newHold, recordOf } from '../protocol/permit-record';
import type { FreeSlot } from '../state/grantable';
import { type Hold, encodeRecord } from '../protocol/records';
import type { Want } from '../protocol/request';

/** Slots for which a claim is under way. */
export interface Reservation {
  /** The claim was answered. */
  end(): void;
  /** Whether nothing happened since the claim was decided that could forbid it. */
  undisturbed(): boolean;
  bucketReplaced(): boolean;
  /**
   * Whether the limit may have been lowered after the claim was decided and before it was written under `revision`. Asks
   * the store where announcements may have been missed meanwhile.
   * @throws BackendUnavailableError, CorruptEntryError
   */
  limitLoweredBefore(revision: number): Promise<boolean>;
}

/** A primitive whose slots can be claimed. */
export interface Claimable extends Primitive, LeaseOwner {
  /** A claim for the slots begins. */
  reserve(slots: readonly FreeSlot[]): Reservation;
  /** A claim was refused. `actual`: the last revision of the slot, where it was one and the store said it. */
  refused(slots: readonly FreeSlot[], actual: number | undefined, askedAt: number): void;
  /** From now on a lease of this process holds these slots. */
  adopt(lease: Lease, entries: readonly Entry[]): void;
}

/** Slots of one primitive, as part of a permit. */
export interface ClaimPart {
  readonly engine: Claimable;
  readonly slots: readonly FreeSlot[];
  /** The ticket that it serves. */
  readonly ticket?: string | undefined;
}

/**
 * Tries once to take slots, of one primitive or of several, in one commit: all or none. Resolves with the lease, or with undefined if
 * another claim was faster; the tables concerned know more then.
 *
 * The claim counts only if nothing happened between the decision and its answer that forbids it: the bucket replaced, the limit lowered
 * below the one by which it was decided. Such a claim is taken back before any caller learns of it. The caller sees to it that `close`
 * waits for the claim, and for what the caller does with the lease.
 */
export async function claim(
  context: Context,
  primitive: string,
  parts: readonly ClaimPart[],
  want: Want,
  abandon: Aborting | undefined,
  after?: Succession & { readonly turnSince: number },
): Promise<Lease | undefined> {
  const { clock } = context;
  // Only a permit that can be granted again by itself is retained.
  const single = parts.length === 1 && parts[0]?.slots.length === 1 && want.mode === undefined;
  const retain = single ? want.retain : 0;
  const hold = newHold(newId(), context.holder, clock.wallTime(), want, retain);
  const reads = want.mode === 'read';
  const content = new Map<string, Hold>();
  const writes: (Write & Pick<HeldSlot, 'earlier' | 'slot'>)[] = [];
  for (const { engine, slots, ticket } of parts) {
    const own = ticket === undefined ? hold : { ...hold, ticket };
    const value = encodeRecord(after === undefined ? own : { ...own, after: after.permit });
    for (const { slot, expected, ...over } of slots) {
      const place = engine.keys.slot(slot);
      // A reader writes a key of its own, as long as the writer's place is as it was known to be: free.
      const key = reads ? engine.keys.reader(hold.permit) : place;
      content.set(key, own);
      // A new key has no history.
      const earlier = reads ? undefined : (over.earlier ?? engine.table.entries.lastsUntil(place));
      const replaces = earlier === undefined ? undefined : earlier - clock.now();
      const expectedOf = reads ? place : undefined;
      writes.push({ slot, earlier, key, expected, expectedOf, value, ttl: want.ttl, replaces });
    }
  }
  const reservations = parts.map(({ engine, slots }) => engine.reserve(reads ? [] : slots));
  const askedAt = clock.now();
  const freeSince = after === undefined ? freeFor(parts) : askedAt;
  let result: CommitResult;
  try {
    result = await context.store.commit(
      writes,
      abandon === undefined ? { until: after?.deadline } : { abandon },
    );
  } catch (error) {
    after?.failed(error as Error);
    throw error;
  } finally {
    for (const reservation of reservations) reservation.end();
  }
  after?.answered(result.committed);
  if (!result.committed) {
    const actual = writes.length === 1 ? result.actual : undefined;
    for (const { engine, slots } of parts) engine.refused(slots, actual, askedAt);
    return undefined;
  }
  const { revisions, sentAt } = result;
  const writtenAt = clock.wallTime();
  const held: HeldSlot[] = [];
  const entries: Entry[] = [];
  for (const [i, { slot, earlier, key, value }] of writes.entries()) {
    const revision = revisions[i] as number;
    held.push({ slot, key, revision, ttl: want.ttl, earlier });
    entries.push({ key, revision, value, ttl: want.ttl, writtenAt });
  }
  const engines = parts.map(({ engine }) => engine);
  const lease = new Lease(context, ownersOf(engines), {
    primitive,
    record: recordOf(hold.permit, (key) => content.get(key) ?? hold),
    ttl: want.ttl,
    slots: held,
    sentAt,
    turnSince: after?.turnSince,
    freeSince,
    autoRenew: want.autoRenew,
    retain,
  });
  let adopted = 0;
  for (const { engine, slots } of parts) {
    engine.adopt(lease, entries.slice(adopted, adopted + slots.length));
    adopted += slots.length;
  }
  if (after !== undefined && clock.now() >= after.deadline) {
    // As for a renewal: the server may have put its expiry marker over it already.
    lease.lose('it was acknowledged after the end of the hold that it took over');
    return undefined;
  }
  // The process may have been stopped since the claim was sent: then it is given back, and the waiter goes on waiting.
  if (!lease.isHeld) return undefined;
  // Almost always nothing happened meanwhile, and no request to the server is needed.
  if (reservations.every((reservation) => reservation.undisturbed())) return lease;
  return (await stands(context, lease, reservations, Math.max(...revisions))) ? lease : undefined;
}

/** Since when this process knows that all of them are free. Undefined if no entry was removed from them. */
function freeFor(parts: readonly ClaimPart[]): number | undefined {
  let latest: number | undefined;
  for (const { engine, slots } of parts)
    for (const { slot } of slots) {
      const known = engine.table.entries.get(engine.keys.slot(slot));
      if (known !== undefined && known.revision > 0) latest = Math.max(latest ?? 0, known.heardAt);
    }
  return latest;
}

/** Whether a claim still counts; if not, it is taken back. */
async function stands(
  context: Context,
  lease: Lease,
  reservations: readonly Reservation[],
  revision: number,
): Promise<boolean> {
  try {
    for (const reservation of reservations) {
      if (reservation.bucketReplaced()) lease.lose('the bucket was deleted or replaced');
      else if (await reservation.limitLoweredBefore(revision)) context.background.add(lease.release());
      if (!lease.isHeld) return false;
    }
  } catch (error) {
    context.background.add(lease.release());
    // The answer is unknown: the waiter goes on waiting, for as long as it has time.
    if (error instanceof BackendUnavailableError && !context.store.isClosed()) return false;
    throw error;
  }
  return true;
}

/** An engine keeps the records of a lease; for several primitives each of their engines does. */
function ownersOf(engines: readonly Claimable[]): LeaseOwner {
  const [only, ...more] = engines;
  if (only !== undefined && more.length === 0) return only;
  return {
    freed: (slots) => {
      for (const engine of engines)
        engine.freed(slots.filter(({ key }) => engine.keys.parse(key) !== undefined));
    },
    lasts: (lease) => {
      for (const engine of engines) engine.lasts?.(lease);
    },
    ended: (lease) => {
      for (const engine of engines) engine.ended(lease);
    },
  };
}
