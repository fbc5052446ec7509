import type { SlotTable, QueuedTicket, TakenSlot } from '../state/slot-table';
import type { LatchTable } from '../latch/latch-table';
import { parseTime, toDate } from '../runtime/clock';
import { available } from '../state/grantable';
import type { Kind } from '../protocol/keys';
import type { Hold } from '../protocol/records';
import { fencingToken } from '../protocol/fencing-token';
import { storedTtl } from '../store/store';

/** A permit as others see it. */
export interface HolderStatus {
  readonly permitId: string;
  /** Name of the process that holds it: {@link DispatcherOptions.holder}. */
  readonly holder: string;
  readonly slots: readonly number[];
  /** When it was granted, by the holder's clock. */
  readonly since: Date;
  /** When the server frees its slots unless it is renewed, by the server's clock. */
  readonly expiresAt: Date;
  readonly fencingToken: bigint;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A slot without a holder, retained by a process for its own next acquire until another process waits for it. */
export interface KeptStatus {
  readonly slot: number;
  /** Name of the process that retains it: {@link DispatcherOptions.holder}. */
  readonly holder: string;
  /** Since when, by that process's clock. */
  readonly since: Date;
  /** When the server frees it at the latest. */
  readonly expiresAt: Date;
}

/** A place in the queue, as others see it. Only waiters with `fair: true` have one. */
export interface WaiterStatus {
  readonly holder: string;
  /** How many slots it waits for. */
  readonly count: number;
  readonly since: Date;
  /** When the place is lost unless it is renewed. */
  readonly expiresAt: Date;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Primitives that are made of slots. */
export type SlotKind = 'semaphore' | 'mutex';

/** A semaphore at one moment. */
export type SemaphoreStatus = SlotStatus<'semaphore'>;
/** A mutex at one moment. */
export type MutexStatus = SlotStatus<'mutex'>;

/** A primitive made of slots, at one moment. */
export interface SlotStatus<Kind extends SlotKind = SlotKind> {
  readonly name: string;
  readonly kind: Kind;
  /** The limit: how many slots there are. */
  readonly slots: number;
  /**
   * How many slots could be granted now, retained ones included: a waiter gets a retained slot as soon as the retaining process hears of
   * it. An attempt of another process that does not wait may find it taken.
   */
  readonly available: number;
  /**
   * Slots without a holder, retained by processes for themselves: see {@link SemaphoreOptions.retain}. When another process retains a slot,
   * or takes it again, this list and the list of holders show that 100 ms later.
   */
  readonly kept: readonly KeptStatus[];
  readonly holders: readonly HolderStatus[];
  /** In the order of arrival. */
  readonly waiters: readonly WaiterStatus[];
  /** Entries that can not be read. Such a slot counts as taken until an operator removes the entry. */
  readonly corrupt: readonly { readonly key: string; readonly reason: string }[];
}

/** A permit of a read-write lock as others see it. */
export interface ReadWriteHolderStatus extends Omit<HolderStatus, 'slots'> {
  readonly mode: 'read' | 'write';
}

/** A waiter for a read-write lock, as others see it. */
export interface ReadWriteWaiterStatus extends Omit<WaiterStatus, 'count'> {
  readonly mode: 'read' | 'write';
}

/** A read-write lock at one moment. */
export interface ReadWriteLockStatus {
  readonly name: string;
  readonly kind: 'read-write-lock';
  /** One writer, or any number of readers. */
  readonly holders: readonly ReadWriteHolderStatus[];
  /**
   * In the order of arrival. The first may be a writer that takes over as soon as the readers are gone, and keeps out all others. The rest
   * are waiters with `fair: true`.
   */
  readonly waiters: readonly ReadWriteWaiterStatus[];
  /**
   * Entries that can not be read. One in the writer's place keeps out all readers and writers, one in a reader's place keeps out writers.
   */
  readonly corrupt: readonly { readonly key: string; readonly reason: string }[];
}

/** A latch at one moment. */
export interface LatchStatus {
  readonly name: string;
  readonly kind: 'latch';
  /** What is left. If nothing is stored: the count in the code, or 0. */
  readonly count: number;
  /** What it counts down from; undefined if nothing is stored. */
  readonly total: number | undefined;
  /** How much each process has counted in this round, one entry for each process. Empty once it has reached zero. */
  readonly counted: readonly { readonly holder: string; readonly count: number }[];
  /** Entries that can not be read. What they may have counted does not count. */
  readonly corrupt: readonly { readonly key: string; readonly reason: string }[];
}

/** Kinds of primitive that are held by permits. */
export type PermitKind = SlotKind | 'read-write-lock';

/** What the keys of each kind of primitive begin with, and the other way round. */
export const KEYS_OF: Record<PermitKind, Kind> = {
  semaphore: 'sem',
  mutex: 'mutex',
  'read-write-lock': 'rw',
};
export const KIND_OF: Record<Kind, PermitKind> = { sem: 'semaphore', mutex: 'mutex', rw: 'read-write-lock' };

/** A primitive in a list. */
export interface PrimitiveSummary {
  readonly name: string;
  readonly kind: PermitKind | 'latch';
  /** The limit; of a latch what it counts down from. Undefined if none is stored, it can not be read, or there is none: of a read-write lock. */
  readonly slots: number | undefined;
  /** How many slots are taken; of a read-write lock how many permits are held, of a latch what is left. */
  readonly held: number;
  /** How many wait with a ticket; of a read-write lock also a writer that waits for readers to leave, of a latch always 0. */
  readonly waiting: number;
}

/** @param total in the code */
export function latchStatusOf(name: string, table: LatchTable, total: number | undefined): LatchStatus {
  const stored = table.round?.ok === true ? table.round.record : undefined;
  return {
    name,
    kind: 'latch',
    count: Math.max(0, table.left ?? total ?? 0),
    total: stored?.total,
    counted: stored?.over === true ? [] : table.counted.map(({ holder, done }) => ({ holder, count: done })),
    corrupt: table.corrupt.map(([key, reason]) => ({ key, reason })),
  };
}

export function latchSummaryOf(name: string, table: LatchTable): PrimitiveSummary {
  const { count, kind, total } = latchStatusOf(name, table, undefined);
  return { name, kind, slots: total, held: count, waiting: 0 };
}

/** @param limit to show where none is stored */
export function statusOf(kind: SlotKind, name: string, table: SlotTable, limit: number): SlotStatus {
  const slots = limitOf(table) ?? limit;
  return {
    name,
    kind,
    slots,
    available: available(table, slots),
    kept: keptOf(table),
    holders: holdersOf(table.taken.values()),
    waiters: table.queue.map((queued) => ({ count: queued.ticket.count, ...waiterOf(queued) })),
    corrupt: corruptOf(table),
  };
}

export function readWriteStatusOf(name: string, table: SlotTable): ReadWriteLockStatus {
  const [writer, readers] = [holdersOf(table.taken.values()), holdersOf(table.readers.values())];
  // A writer that has taken the writer's place before the last reader is gone only waits for it.
  const toWrite = table.readers.size > 0 ? writer : [];
  const show = ({ slots: _, ...holder }: HolderStatus, mode: 'read' | 'write'): ReadWriteHolderStatus => ({
    ...holder,
    mode,
  });
  return {
    name,
    kind: 'read-write-lock',
    holders: [
      ...readers.map((holder) => show(holder, 'read')),
      ...(toWrite.length > 0 ? [] : writer.map((holder) => show(holder, 'write'))),
    ],
    waiters: [
      ...toWrite.map(({ holder, since, expiresAt, metadata }) => ({
        holder,
        since,
        expiresAt,
        metadata,
        mode: 'write' as const,
      })),
      ...table.queue.map((queued) => ({
        ...waiterOf(queued),
        mode: queued.ticket.mode ?? ('write' as const),
      })),
    ],
    corrupt: corruptOf(table),
  };
}

function waiterOf({ ticket, entry }: QueuedTicket): Omit<WaiterStatus, 'count'> {
  return {
    holder: ticket.holder,
    since: toDate(parseTime(ticket.since)),
    expiresAt: expiry(entry.writtenAt, ticket.ttl),
    metadata: ticket.meta ?? {},
  };
}

function corruptOf(table: SlotTable): { key: string; reason: string }[] {
  return [...table.corrupt].map(([key, reason]) => ({ key, reason }));
}

export function summaryOf(kind: PermitKind, name: string, table: SlotTable): PrimitiveSummary {
  if (kind === 'read-write-lock') {
    const toWrite = table.readers.size > 0 ? table.taken.size : 0;
    const held = table.readers.size + table.taken.size - toWrite;
    return { name, kind, slots: undefined, held, waiting: toWrite + table.queue.length };
  }
  return {
    name,
    kind,
    slots: kind === 'mutex' ? 1 : limitOf(table),
    held: table.taken.size - table.kept.size,
    waiting: table.queue.length,
  };
}

function limitOf(table: SlotTable): number | undefined {
  const stored = table.limit?.limit;
  return stored?.ok === true ? stored.record.slots : undefined;
}

function keptOf(table: SlotTable): KeptStatus[] {
  const kept: KeptStatus[] = [];
  for (const slot of table.kept) {
    const taken = table.taken.get(slot);
    if (taken?.hold.ok !== true) continue;
    const { holder, since, ttl } = taken.hold.record;
    const expiresAt = expiry(taken.entry.writtenAt, ttl);
    kept.push({ slot, holder, since: toDate(parseTime(since)), expiresAt });
  }
  return kept.sort((a, b) => a.slot - b.slot);
}

/** Slots of one permit together, in the order in which permits were granted. */
function holdersOf(taken: Iterable<TakenSlot>): HolderStatus[] {
  const permits = new Map<string, { hold: Hold; slots: number[]; token: bigint; writtenAt: number }>();
  for (const { slot, hold, entry } of taken) {
    if (!hold.ok || hold.record.kept === true) continue;
    const { record } = hold;
    const token = fencingToken(record.token ?? entry.revision, record.use);
    const known = permits.get(record.permit);
    if (known === undefined) {
      permits.set(record.permit, { hold: record, slots: [slot], token, writtenAt: entry.writtenAt });
    } else {
      known.slots.push(slot);
      if (token > known.token) known.token = token;
      known.writtenAt = Math.min(known.writtenAt, entry.writtenAt);
    }
  }
  return [...permits.values()]
    .sort((a, b) => (a.token < b.token ? -1 : 1))
    .map(({ hold, slots, token, writtenAt }) => ({
      permitId: hold.permit,
      holder: hold.holder,
      slots: slots.sort((a, b) => a - b),
      since: toDate(parseTime(hold.since)),
      expiresAt: expiry(writtenAt, hold.ttl),
      fencingToken: token,
      metadata: hold.meta ?? {},
    }));
}

function expiry(writtenAt: number, ttl: number): Date {
  return toDate(writtenAt + storedTtl(ttl));
}
