import { SemaphoreError } from '../errors';
import type { SlotTable } from './slot-table';
import type { Context } from '../store/context';
import type { Keys } from '../protocol/keys';
import type { RememberedLimit } from './memo';
import { type Limit, encodeRecord } from '../protocol/records';
import { corrupt, limitConflict } from './refusals';
import type { Want } from '../protocol/request';

export const DEFAULT_LIMIT = 1;

/** How often a change of the limit is tried while other clients change it at the same time. */
const MAX_TRIES = 50;
/** How many slots that were never used are noted as free. */
const MAX_NOTED = 16;
/** How many past lowerings to remember: as many as may happen while one claim is pending. */
const REMEMBERED_LOWERINGS = 10;

/** The number of slots of a primitive, for its engine. */
export interface SlotLimit {
  /** The limit in force; undefined while it is not known, or none is stored. */
  readonly known: number | undefined;
  /** Revision of the known limit. */
  readonly revision: number;
  /** How often so far announcements of changes may have been missed. */
  readonly doubted: number;
  /** Whether slots above the limit may still be held, as after it was lowered. True until all entries are read. */
  readonly mayOverhang: boolean;
  /** Whether the limit was lowered after one revision and before another. */
  loweredBetween(revision: number, later: number): boolean;
  doubt(): void;
  /** Reads the limit again. */
  refresh(): Promise<void>;
  /** What to remember while the primitive is not used; undefined: nothing. */
  remember(): RememberedLimit | undefined;
  /** Call when the table shows another limit, or none. Returns whether the number differs from before. */
  noteChange(): boolean;
  /** Call when the table shows all entries. */
  noteComplete(): void;
  /** Call when a change of the limit is announced. */
  noteAnnounced(): void;
  /** Call when the primitive is used: a limit that expires without use is stored again in time. */
  noteUse(): void;
  /** Call when the primitive is not used any more. Leaves no timer. */
  rest(): void;
  /**
   * Compares the number in the code with the limit in force.
   * @returns false if the limit must be set first
   * @throws LimitConflictError
   */
  agrees(want: Want, limit: number): boolean;
  /**
   * Reads all entries, the limit included. Stores or sets the limit if the acquire needs that to go on.
   * @throws CorruptEntryError, BackendUnavailableError
   */
  settle(want: Want): Promise<void>;
  /**
   * Stores what `change` returns for the stored limit (undefined: none). If it returns undefined, nothing is stored.
   * @throws CorruptEntryError, BackendUnavailableError
   */
  change(
    change: (stored: number | undefined) => number | undefined,
    forgetAfter?: number,
  ): Promise<{ slots: number | undefined; changed: boolean }>;
}

/** How often a limit that expires without use is stored again while it is used, as a share of the time after which it expires. */
const REFRESH_SHARE = 1 / 3;

/**
 * The limit of a semaphore: a key of its own, written on first use, followed by every process.
 *
 * A process that has used a primitive receives every change of its limit, through a subscription of the dispatcher. Over the
 * same connection, the announcement of a change comes before the answer to any claim written after it. So a claim
 * that raced a lowering is always detected when its answer comes ({@link StoredLimit.loweredBetween}).
 */
export class StoredLimit implements SlotLimit {
  /** Whether the table's limit is the one in force, as far as this process knows. */
  private current = false;
  private doubts = 0;
  private last: number | undefined;
  /** The latest revisions at which the limit was lowered. */
  private lowerings: number[] = [];
  /** Numbers in the code that were settled. Later changes of the limit are followed, and do not conflict with the code. */
  private readonly accepted = new Set<number>();
  /** See {@link SlotLimit.mayOverhang}. */
  private overhang = true;
  /** Reading of the clock when the limit was last stored, as far as this process has seen. */
  private storedAt = -Infinity;
  private refreshing = false;
  private cancelRefresh: (() => void) | undefined;

  constructor(
    private readonly context: Context,
    private readonly name: string,
    private readonly keys: Keys,
    private readonly table: SlotTable,
    /** Whether a permit is held, or a waiter waits for one. */
    private readonly inUse: () => boolean,
    remembered?: RememberedLimit,
  ) {
    if (remembered === undefined) return;
    const { slots, forgetAfter, storedAt, revision, accepted = [slots], current } = remembered;
    const { clock } = context;
    const value = encodeRecord(limitRecord(slots, forgetAfter));
    const entry = { key: keys.limit, revision, value, ttl: forgetAfter, writtenAt: clock.wallTime() };
    table.apply(entry, clock.now());
    this.storedAt = storedAt;
    for (const number of accepted) this.accepted.add(number);
    this.last = slots;
    this.current = current;
    this.overhang = false;
  }

  remember(): RememberedLimit | undefined {
    const stored = this.table.limit;
    if (stored?.limit.ok !== true || this.overhang) return undefined;
    const { slots, forgetAfter } = stored.limit.record;
    const { storedAt } = this;
    const plain = this.accepted.size === 1 && this.accepted.has(slots);
    const accepted = plain ? undefined : [...this.accepted];
    return { slots, forgetAfter, storedAt, revision: stored.revision, accepted, current: this.current };
  }

  get known(): number | undefined {
    const stored = this.table.limit?.limit;
    return this.current && stored?.ok === true ? stored.record.slots : undefined;
  }

  get revision(): number {
    return this.table.limit?.revision ?? 0;
  }

  get mayOverhang(): boolean {
    return this.overhang;
  }

  loweredBetween(revision: number, later: number): boolean {
    return this.lowerings.some((lowered) => revision < lowered && lowered < later);
  }

  doubt(): void {
    this.current = false;
    this.doubts++;
  }

  get doubted(): number {
    return this.doubts;
  }

  async refresh(): Promise<void> {
    await this.change(() => undefined);
  }

  noteChange(): boolean {
    const stored = this.table.limit;
    if (stored === undefined || !stored.limit.ok) {
      this.current = false;
      return false;
    }
    const { slots } = stored.limit.record;
    const different = this.last !== slots;
    if ((this.last ?? 0) > slots) {
      this.lowerings = [...this.lowerings.slice(1 - REMEMBERED_LOWERINGS), stored.revision];
      this.overhang = true;
    }
    this.last = slots;
    return different;
  }

  noteAnnounced(): void {
    this.storedAt = this.context.clock.now();
  }

  noteUse(): void {
    const stored = this.table.limit?.limit;
    if (stored?.ok !== true || stored.record.forgetAfter === undefined || !this.current) return;
    const { slots, forgetAfter } = stored.record;
    const { background, clock } = this.context;
    const every = forgetAfter * REFRESH_SHARE;
    this.cancelRefresh ??= clock.after(every, () => {
      this.cancelRefresh = undefined;
      if (this.inUse()) this.noteUse();
    });
    if (this.refreshing || clock.now() - this.storedAt < every) return;
    this.refreshing = true;
    // Refused: another process has stored it. Failed: the next use stores it, or a process that finds it gone.
    background.add(this.write(slots, forgetAfter).finally(() => (this.refreshing = false)));
  }

  rest(): void {
    this.cancelRefresh?.();
    this.cancelRefresh = undefined;
  }

  noteComplete(): void {
    const limit = this.known;
    if (limit !== undefined) this.overhang = !this.table.fits(limit);
  }

  agrees({ slots, limitPolicy }: Want, limit: number): boolean {
    if (slots === undefined) return true;
    if (slots === limit || limitPolicy === 'adopt') this.accepted.add(slots);
    if (this.accepted.has(slots)) return true;
    if (limitPolicy === 'error') throw limitConflict(this.name, slots, limit);
    return false;
  }

  async settle({ slots, limitPolicy, forgetAfter }: Want): Promise<void> {
    await this.readAll();
    const stored = this.readable();
    const set = slots !== undefined && limitPolicy === 'set' && !this.accepted.has(slots) && stored !== slots;
    if (stored === undefined || set) {
      const wanted = slots ?? DEFAULT_LIMIT;
      const first = stored === undefined && (await this.write(wanted, forgetAfter));
      if (!first) {
        await this.change((now) => (now === undefined || set ? wanted : undefined), forgetAfter);
        // A lowered limit may leave slots above it, taken since the first read.
        await this.readAll();
      }
    }
    this.noteUnused();
    if (slots !== undefined && limitPolicy === 'set') this.accepted.add(slots);
    this.current = true;
    this.noteComplete();
  }

  async change(
    change: (stored: number | undefined) => number | undefined,
    forgetAfter?: number,
  ): Promise<{ slots: number | undefined; changed: boolean }> {
    const { clock, store } = this.context;
    const key = this.keys.limit;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const askedAt = clock.now();
      const [entry] = await store.read([key]);
      if (entry === undefined) this.table.entries.learnRevision(key, 0, askedAt);
      else this.table.apply(entry, askedAt);
      this.current = true;
      const stored = this.readable();
      const slots = change(stored);
      if (slots === undefined || slots === stored) return { slots: stored, changed: false };
      if (await this.write(slots, stored === undefined ? forgetAfter : this.forgetAfter))
        return { slots, changed: true };
    }
    throw new SemaphoreError(
      'LIMIT_BUSY',
      `the limit of "${this.name}" is being changed by too many at once`,
      {
        primitive: this.name,
      },
    );
  }

  /** Stores a limit over the one in the table. Returns false if that one is no longer stored. */
  private async write(slots: number, forgetAfter: number | undefined): Promise<boolean> {
    const { clock, store } = this.context;
    const key = this.keys.limit;
    const expected = this.table.entries.get(key)?.revision ?? 0;
    const value = encodeRecord(limitRecord(slots, forgetAfter));
    const result = await store.commit([{ key, expected, value, ttl: forgetAfter }]);
    if (!result.committed) return false;
    const [revision] = result.revisions as [number];
    this.table.apply({ key, value, revision, ttl: forgetAfter, writtenAt: clock.wallTime() }, clock.now());
    this.storedAt = clock.now();
    this.accepted.add(slots);
    this.current = true;
    return true;
  }

  private async readAll(): Promise<void> {
    const { clock, store } = this.context;
    const askedAt = clock.now();
    const entries = await store.read([this.keys.all]);
    await this.table.entries.applyAll(entries, askedAt, clock);
    this.table.entries.retainOnly(new Set(entries.map(({ key }) => key)), askedAt);
  }

  /** Notes slots that were never used as free, as they were at this read. They leave no entry. */
  private noteUnused(): void {
    const now = this.context.clock.now();
    const stored = this.readable() ?? 0;
    for (let slot = 0, noted = 0; slot < stored && noted < MAX_NOTED; slot++) {
      const key = this.keys.slot(slot);
      if (this.table.entries.get(key) !== undefined) continue;
      this.table.entries.learnRevision(key, 0, now);
      noted++;
    }
  }

  private get forgetAfter(): number | undefined {
    const stored = this.table.limit?.limit;
    return stored?.ok === true ? stored.record.forgetAfter : undefined;
  }

  private readable(): number | undefined {
    const stored = this.table.limit?.limit;
    if (stored?.ok === false) throw corrupt(this.name, this.keys.limit, stored.reason);
    return stored?.record.slots;
  }
}

function limitRecord(slots: number, forgetAfter: number | undefined): Limit {
  return forgetAfter === undefined ? { slots } : { slots, forgetAfter };
}
