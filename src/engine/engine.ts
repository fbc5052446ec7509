import { Abort } from '../runtime/cancellation';
import type { Entry } from '../store/store';
import { SlotTable } from '../state/slot-table';
import type { Context } from '../store/context';
import { Watcher } from '../state/watcher';
import { FreeSlots } from '../state/free-slots';
import { type Claimable, type Reservation, claim } from '../acquire/claim';
import { HoldRegistry } from '../state/hold-registry';
import { retry } from '../store/retry';
import type { Keys } from '../protocol/keys';
import type { HeldSlot, Lease, RetainedHold } from '../lease/lease';
import { FixedLimit } from '../state/fixed-limit';
import { type SlotLimit, StoredLimit } from '../state/limit';
import { type QueueHost, LocalQueue } from '../acquire/local-queue';
import { LocalHandOff, type HandOffHost } from '../release/hand-off-local';
import type { FreeSlot } from '../state/grantable';
import { type Removed, markerEntry, removeEntries } from '../store/remove-entries';
import { decodeRemovalNotice } from '../protocol/records';
import { dispatcherClosed, outOfTime, removed, tooMany, unavailable } from '../state/refusals';
import { removePrimitive } from './remove-primitive';
import type { Memo } from '../state/memo';
import { Retention, type RetentionHost } from '../release/retention';
import { ExpirySweeper } from '../release/expiry-sweeper';
import { FairQueue } from '../acquire/fair-queue';
import { awaitReaders } from '../acquire/await-readers';
import { Waiter } from '../acquire/waiter';
import type { Patience, Want } from '../protocol/request';

/** Called when the table has changed, or, with a reason, when it can not be kept up to date. */
type Observer = (failure?: Error) => void;

/** A forced release races the holder's renewals: it may need more than one attempt. */
const FORCE_TRIES = 20;
const FORCE_WAIT_MS = 10_000;
/** How many free slots to remember between uses. */
const REMEMBERED_SLOTS = 16;

const settled = Promise.resolve();

/**
 * The one algorithm: everything that this process does to the slots of one primitive.
 *
 * Invariants:
 * - A slot is claimed only by a write that expects it free, at the revision last known of it; of several such writes the store accepts one.
 *   Knowledge that is out of date costs a refused write, never a second holder.
 * - Slots are claimed only below the limit, less what is still held above it (`grantable` in claim-plan.ts); a claim that raced a lowering
 *   of the limit is taken back before any caller learns of it.
 * - The order in which waiters are served: see {@link LocalQueue} and {@link FairQueue}.
 * - A slot that is retained after its release (`retain`) counts as held for all of this; see {@link Retention}.
 *
 * The engine learns the state from own writes or, while a caller waits or holds for long, from a {@link Watcher}. When there is no such
 * caller, nothing is left running.
 */
export class Engine implements Claimable, HandOffHost, QueueHost, RetentionHost {
  readonly table: SlotTable;
  readonly watcher: Watcher;
  readonly limit: SlotLimit;
  readonly free: FreeSlots;
  private readonly holdings: HoldRegistry;
  private readonly line: LocalQueue;
  private readonly tickets: FairQueue;
  private readonly passingOn: LocalHandOff;
  private readonly retention: Retention;
  private readonly sweeper: ExpirySweeper;
  /** Waiters whose request has not been compared with the limit in force. */
  private readonly unchecked = new Set<Waiter>();
  /** Callers that need the table kept up to date for a reason of their own. */
  private readonly observers = new Set<Observer>();
  /** How many of them wait for slots. */
  private collecting = 0;
  private lastAnswerAt = -Infinity;
  private generation = 0;
  private learning = false;
  private pumping = false;
  private readonly ending = new Abort();

  constructor(
    readonly context: Context,
    readonly name: string,
    readonly keys: Keys,
    memo?: Memo,
  ) {
    const { clock, store, counts } = context;
    this.table = new SlotTable(keys);
    this.watcher = new Watcher(store, clock, this.table.entries, [keys.all], this, counts);
    this.limit =
      keys.kind === 'sem'
        ? new StoredLimit(context, name, keys, this.table, () => this.isUsed, memo?.limit)
        : new FixedLimit(1, clock, keys, this.table);
    this.free = new FreeSlots(clock, keys, this.table, this.limit);
    this.holdings = new HoldRegistry(clock, this.table, this.watcher);
    this.line = new LocalQueue(this);
    this.tickets = new FairQueue(this);
    this.passingOn = new LocalHandOff(this, this.line, this.tickets);
    this.retention = new Retention(this);
    this.sweeper = new ExpirySweeper(this);
    if (memo?.free === undefined) return;
    const { slot, revision, ttl, heardAt } = memo.free;
    this.table.apply({ key: keys.slot(slot), revision, ttl, value: null, writtenAt: 0 }, heardAt);
  }

  /** What to remember of it while it is unused. */
  remember(): Memo {
    const [free] = this.free.remembered();
    const known = free && this.table.entries.get(this.keys.slot(free.slot));
    return {
      limit: this.limit.remember(),
      free: free &&
        known && { slot: free.slot, revision: known.revision, ttl: known.ttl, heardAt: known.heardAt },
    };
  }

  /** Whether there is no waiter, holder or observer here, so that it can be forgotten. */
  get idle(): boolean {
    return this.unused && !this.tickets.lingers && this.holdings.size === 0 && !this.retention.active;
  }

  get isClosed(): boolean {
    return this.ending.signal.aborted;
  }

  /** @throws DispatcherClosedError */
  checkOpen(): void {
    if (this.isClosed) throw dispatcherClosed(this.name);
  }

  // ---- acquiring

  /**
   * Waits for a permit.
   * @throws AcquireTimeoutError, BackendUnavailableError, CorruptEntryError, DispatcherClosedError, LimitConflictError,
   *   RangeError for more slots than there are, the signal's reason, and what opening the store throws
   */
  acquire(want: Want, patience: Patience): Promise<Lease> {
    if (this.isClosed) return Promise.reject(dispatcherClosed(this.name));
    const again = this.retention.atOnce(want, patience);
    if (again !== undefined) return this.unlessGivenUp(again, patience);
    const { clock, store } = this.context;
    const timedOut = (waiter: Waiter, ms: number): Error => this.timedOut(waiter, ms);
    const waiter = new Waiter(clock, want, patience, timedOut, (leaver) => this.left(leaver));
    const down = waiter.immediate ? store.down() : undefined;
    if (down !== undefined) waiter.settle(unavailable(this.name, 0, down));
    this.checkCount(waiter);
    if (waiter.settled) return waiter.result;
    this.unchecked.add(waiter);
    if (want.fair && !waiter.immediate) this.tickets.add(waiter);
    else this.line.add(waiter);
    this.pump();
    return waiter.result;
  }

  /** If the signal aborts before the promise resolves, the lease is released. */
  private async unlessGivenUp(lease: Lease, { signal }: Patience): Promise<Lease> {
    await settled;
    if (!this.isClosed && signal?.aborted !== true) return lease;
    this.context.background.add(lease.release());
    throw this.isClosed ? dispatcherClosed(this.name) : signal?.reason;
  }

  readonly grab: QueueHost['grab'] = (slots, want, abandon, ticket, after) =>
    claim(this.context, this.name, [{ engine: this, slots, ticket }], want, abandon, after);

  readonly accept: QueueHost['accept'] = (taken, ticket, want) => this.passingOn.accept(taken, ticket, want);

  readonly settleIn: QueueHost['settleIn'] = (lease, want, abandon) =>
    want.mode === 'write' ? awaitReaders(this, lease, abandon) : Promise.resolve(lease);

  /** Compares the waiters with the free slots, and sends the claims that follow from it. Cheap if there are none. */
  readonly pump = (): void => {
    if (this.isClosed) return;
    if (this.unused) return this.rest();
    if (this.isAwaited && this.live) this.sweeper.start();
    if (this.waiting === 0) return this.retention.express();
    const limit = this.limit.known;
    if (limit === undefined || !this.admit(limit)) return void this.learn();
    this.limit.noteUse();
    this.retention.serve(limit);
    // The free slots will be known in a moment.
    if (this.retention.busy) return;
    this.tickets.serve(limit);
    this.line.serve(limit);
    this.retention.express();
  };

  /**
   * Slots that could be claimed now for a waiter that wants `count`; undefined if there are not that many.
   * @param behindQueue offers nothing while there is a waiter with a ticket
   */
  offer(count: number, behindQueue: boolean): FreeSlot[] | undefined {
    if (this.limit.known === undefined || !this.watcher.live || this.givesBack) return undefined;
    if (behindQueue && this.table.head(this.limit.known) !== undefined) return undefined;
    const free = this.free.now();
    return free.length < count ? undefined : free.slice(0, count);
  }

  reserve(slots: readonly FreeSlot[]): Reservation {
    const { generation } = this;
    const decidedBy = this.limit.revision;
    const { doubted } = this.limit;
    const end = this.free.reserve(slots);
    return {
      end: () => {
        end();
        this.lastAnswerAt = this.context.clock.now();
      },
      undisturbed: () =>
        generation === this.generation && doubted === this.limit.doubted && decidedBy === this.limit.revision,
      bucketReplaced: () => generation !== this.generation,
      limitLoweredBefore: async (claimed) => {
        if (doubted === this.limit.doubted) return this.limit.loweredBetween(decidedBy, claimed);
        await this.limit.refresh();
        this.limitChanged();
        // Of several changes that were missed only the last is known: any could have been a lowering.
        return this.limit.revision !== decidedBy;
      },
    };
  }

  /** A claim was refused. `actual`: the last revision of the slot, where it was one and the store said it. */
  refused(slots: readonly FreeSlot[], actual: number | undefined, askedAt: number): void {
    if (this.free.refused(slots, actual, askedAt)) return;
    if (this.watcher.running) this.watcher.refresh();
    else this.watcher.start();
  }

  /** From now on a lease holds these slots of this process. */
  adopt(lease: Lease, entries: readonly Entry[]): void {
    for (const entry of entries) this.table.apply(entry, this.context.clock.now());
    this.holdings.add(lease, entries);
    this.limit.noteUse();
    if (lease.retain > 0) this.retention.began();
  }

  // ---- the limit

  /** Finds out the limit for a caller that does not queue here, and stores it if none is stored. */
  async agree(want: Want, count: number): Promise<void> {
    const known = this.limit.known;
    if (known === undefined || !this.limit.agrees(want, known)) {
      await this.limit.settle(want);
      this.limitChanged();
    }
    const limit = this.limit.known;
    if (limit === undefined) return;
    this.limit.agrees(want, limit);
    if (count > limit) throw tooMany(this.name, count, limit);
  }

  /** Stores the result of `change` as the limit. Resolves with the limit in force afterwards, and whether it was changed. */
  async changeLimit(
    change: (stored: number | undefined) => number | undefined,
    forgetAfter?: number,
  ): Promise<{ slots: number | undefined; changed: boolean }> {
    const outcome = await this.limit.change(change, forgetAfter);
    this.limitChanged();
    return outcome;
  }

  /** The store announced a limit. */
  limitAnnounced(entry: Entry): void {
    if (!this.table.apply(entry, this.context.clock.now())) return;
    this.limit.noteAnnounced();
    this.limitChanged();
  }

  /** Announcements of limits may have been missed. */
  limitUncertain(): void {
    this.limit.doubt();
    this.pump();
  }

  // ---- looking

  /**
   * A table that shows everything as it is at the time of the call. The engine's own table may lag behind what another client already
   * knows.
   */
  async look(): Promise<SlotTable> {
    const { clock, store } = this.context;
    const askedAt = clock.now();
    const seen = new SlotTable(this.keys);
    for (const entry of await store.read([this.keys.all])) seen.apply(this.shown(entry), askedAt);
    return seen;
  }

  /** The table in the form that status views show. */
  get view(): SlotTable {
    if (!this.retention.everKept) return this.table;
    const seen = new SlotTable(this.keys);
    for (const known of this.table.entries.entries()) seen.apply(this.shown(known), known.heardAt);
    return seen;
  }

  /** The entry in the form that status views show: for a slot that was retained, the bucket may not yet name its present holder. */
  shown(entry: Entry): Entry {
    if (!this.retention.everKept || entry.value === null) return entry;
    const value = this.retention.shown(entry) ?? this.holdings.shown(entry);
    return value === undefined ? entry : { ...entry, value };
  }

  /**
   * Keeps the table up to date, and calls back whenever it changes or that fails. Returns a function that stops that.
   * @param waits whether it waits for slots: none is retained meanwhile
   */
  observe(callback: Observer, waits = false): () => void {
    this.observers.add(callback);
    if (waits) this.collecting++;
    if (waits) this.retention.giveBackAll();
    this.watcher.watch(true);
    this.watcher.start();
    return () => {
      if (this.observers.delete(callback) && waits) this.collecting--;
      this.rest();
    };
  }

  /** Whether the table shows everything. */
  get live(): boolean {
    return this.watcher.live;
  }

  /** Revokes a permit. Resolves with whether there was one. */
  async forceRelease(permitId: string): Promise<boolean> {
    let found = false;
    for (let tries = 0; tries < FORCE_TRIES; tries++) {
      const table = await this.look();
      const held = [...table.taken.values(), ...table.readers.values()].filter(
        ({ hold }) => hold.ok && hold.record.kept !== true && hold.record.permit === permitId,
      );
      if (held.length === 0) return found;
      found = true;
      // A permit that its holder renewed meanwhile stays: look again.
      const now = this.context.clock.now();
      const entries = held.map(({ entry }) => this.table.entries.removable(entry, now));
      const { failure } = await removeEntries(this.context.store, entries, now + FORCE_WAIT_MS);
      if (failure !== undefined) throw failure;
    }
    return found;
  }

  /** Removes all entries of the primitive. Resolves with whether there were any. */
  async remove(force: boolean): Promise<boolean> {
    // What this process retains would come back as a hold.
    this.retention.giveBackAll();
    return removePrimitive(this, force);
  }

  // ---- ends

  /** The store lost all entries at once. */
  reset(): void {
    const reason = 'the bucket was deleted or replaced';
    this.generation++;
    this.limit.doubt();
    this.table.entries.clear();
    this.free.caughtUp();
    this.retention.dropAll();
    this.holdings.loseAll(reason);
    this.tickets.loseAll(reason);
    this.pump();
  }

  /** Refuses all waiters and releases all holds. */
  async close(): Promise<void> {
    this.ending.abort();
    this.refuseAll(dispatcherClosed(this.name));
    // Before releasing: an acquire of several primitives then gives up a claim under way, or gives back what it wins.
    this.tellObservers();
    this.retention.close();
    this.sweeper.stop();
    await this.holdings.releaseAll();
    this.tickets.close();
    this.observers.clear();
    this.limit.rest();
    this.watcher.stop();
  }

  // ---- of the watcher

  changed(entry?: Entry): void {
    this.lastAnswerAt = this.context.clock.now();
    const part = entry && this.keys.parse(entry.key);
    if (entry === undefined) {
      this.free.caughtUp();
      this.holdings.informAll();
      this.retention.compareAll();
      this.tickets.compareAll();
    } else if (part?.part === 'limit') {
      return this.limitChanged();
    } else if (part?.part === 'removed') {
      return this.noticeRemoval(entry);
    } else if (part?.part === 'ticket') {
      this.tickets.heard(part.id, entry);
    } else {
      this.holdings.inform(entry.key, entry);
      this.retention.heard(entry.key, entry);
      if (part?.part === 'slot') this.tickets.receive(this.table.taken.get(part.slot));
    }
    this.retention.yieldToOthers();
    this.tellObservers();
    this.pumpSoon();
  }

  /** The primitive was removed: all waiters and watches end, and so do the holders whose permits were revoked. */
  private noticeRemoval(entry: Entry): void {
    const notice = entry.value === null ? undefined : decodeRemovalNotice(entry.value, entry);
    if (notice?.ok !== true) return;
    const { force, holder } = notice.record;
    const error = removed(this.name, holder);
    if (force) this.holdings.loseAll(`the ${error.message}`);
    this.refuseAll(error);
    this.tellObservers(error);
  }

  confirmed(): void {
    this.free.caughtUp();
    this.tickets.receiveAll();
    this.pump();
  }

  failed(error: Error): void {
    this.refuseAll(error);
    this.retention.giveBackAll();
    this.watcher.stop();
    this.tellObservers(error);
  }

  // ---- of leases

  freed(entries: readonly Removed[]): void {
    if (entries.length === 0) return;
    const { clock } = this.context;
    for (const removed of entries) {
      this.table.apply(markerEntry(removed, clock.wallTime()), clock.now());
      this.holdings.freed(removed.key, removed.revision);
    }
    this.tellObservers();
    this.pump();
  }

  releasing(): Promise<void> | undefined {
    this.tickets.withdrawServed();
    return this.passingOn.freshen();
  }

  passOn(lease: Lease, held: HeldSlot): Promise<boolean> | undefined {
    return this.passingOn.passOn(lease, held);
  }

  gave(slot: number, entry: Entry): void {
    this.holdings.freed(entry.key, entry.revision);
    if (this.watcher.running) this.table.apply(entry, this.context.clock.now());
    else this.table.entries.forget(entry.key);
    this.tickets.receive(this.table.taken.get(slot));
    this.tellObservers();
    this.pump();
  }

  moved(lease: Lease): void {
    this.adopt(lease, lease.entries);
  }

  lasts(lease: Lease): void {
    this.holdings.lasts(lease);
  }

  ended(lease: Lease): void {
    this.holdings.remove(lease);
    this.retention.ended(lease);
    // Not before the release itself has been sent.
    this.pumpSoon();
  }

  // ---- retaining slots

  keep(hold: RetainedHold): boolean {
    return this.retention.keep(hold);
  }

  /** Whether retained slots are being given back, or about to be written. */
  get givesBack(): boolean {
    return this.retention.busy;
  }

  get collectors(): number {
    return this.collecting;
  }

  get waits(): boolean {
    return this.line.patient || this.collecting > 0;
  }

  get next(): Waiter | undefined {
    return this.line.waiters[0] ?? this.tickets.newcomer;
  }

  holds(key: string): boolean {
    return this.holdings.has(key);
  }

  grantedAgain(lease: Lease): void {
    this.holdings.add(lease, lease.held);
    this.limit.noteUse();
  }

  keptChanged(): void {
    this.tellObservers();
  }

  keeperSettled(): void {
    this.retention.yieldToOthers();
    this.tellObservers();
    this.pump();
  }

  keeperIdle(): void {
    this.rest();
  }

  // ---- of the sweeper

  get isAwaited(): boolean {
    return this.waiting + this.collecting > 0;
  }

  // ---- within

  /** Schedules one pump for several announcements, which often come at once: it runs when all of them have been applied. */
  private pumpSoon(): void {
    if (this.pumping) return;
    this.pumping = true;
    // A fraction of what queueMicrotask costs, which makes a resource of each call.
    void settled.then(() => {
      this.pumping = false;
      this.pump();
    });
  }

  /** How many waiters of this process wait for slots of this primitive only. */
  private get waiting(): number {
    return this.line.waiters.length + this.tickets.size;
  }

  private get everybody(): Waiter[] {
    return [...this.line.waiters, ...this.tickets.waiters];
  }

  private left(waiter: Waiter): void {
    this.unchecked.delete(waiter);
    this.line.remove(waiter);
    this.tickets.remove(waiter);
    this.rest();
  }

  private refuseAll(error: Error): void {
    for (const waiter of this.everybody) waiter.settle(error);
  }

  private tellObservers(failure?: Error): void {
    for (const observer of [...this.observers]) observer(failure);
  }

  /** Refuses waiters whose request can not be met under the limit. Returns false if the limit has to be set first. */
  private admit(limit: number): boolean {
    for (const waiter of [...this.unchecked]) {
      const { count } = waiter.want;
      try {
        if (!this.limit.agrees(waiter.want, limit)) return false;
        if (count !== 'all free' && count > limit) throw tooMany(this.name, count, limit);
      } catch (error) {
        waiter.settle(error as Error);
      }
      this.unchecked.delete(waiter);
    }
    return true;
  }

  /** Finds out the limit, and stores or sets it where waiters ask for that. */
  private async learn(): Promise<void> {
    if (this.learning) return;
    this.learning = true;
    const settle = async (): Promise<void> => {
      const [first] = [...this.unchecked, ...this.everybody];
      if (first !== undefined) await this.limit.settle(first.want);
    };
    try {
      await retry(this.context, settle, this.ending.signal);
    } catch (error) {
      return this.refuseAll(error as Error);
    } finally {
      this.learning = false;
    }
    this.lastAnswerAt = this.context.clock.now();
    this.tickets.receiveAll();
    this.limitChanged();
  }

  /** Refuses at once a request for more slots than there can be, also while the limit can not be read. */
  private checkCount(waiter: Waiter): void {
    const { count, slots, limitPolicy } = waiter.want;
    const most = this.limit.known ?? (limitPolicy === 'adopt' ? undefined : slots);
    if (count !== 'all free' && most !== undefined && count > most)
      waiter.settle(tooMany(this.name, count, most));
  }

  private limitChanged(): void {
    this.retention.yieldToOthers();
    if (this.limit.noteChange()) for (const waiter of this.everybody) this.unchecked.add(waiter);
    this.tellObservers();
    this.pump();
  }

  /** Whether a permit is held or waited for. */
  private get isUsed(): boolean {
    return this.holdings.size > 0 || this.isAwaited;
  }

  /** Whether there is no waiter, claim or observer. */
  private get unused(): boolean {
    const wanted = this.waiting + this.observers.size;
    return wanted === 0 && !this.free.claiming;
  }

  /** Frees what is only needed while there is a waiter, an observer or a listener. */
  private rest(): void {
    this.retention.rest();
    if (!this.isAwaited) this.sweeper.stop();
    if (!this.isUsed) this.limit.rest();
    if (this.waiting + this.observers.size === 0) this.watcher.watch(false);
    if (!this.unused || this.holdings.listens || this.tickets.lingers || this.retention.active) return;
    this.free.caughtUp();
    // A few entries left by own claims are not worth a search each time.
    if (!this.watcher.running && this.table.entries.size <= REMEMBERED_SLOTS) return;
    if (this.watcher.live) this.limit.noteComplete();
    this.watcher.stop();
    let kept = 0;
    this.table.entries.shrink(({ key, value }) => {
      const part = this.keys.parse(key)?.part;
      return part === 'limit' || (part === 'slot' && value === null && ++kept <= REMEMBERED_SLOTS);
    });
  }

  private timedOut(waiter: Waiter, ms: number): Error {
    const trouble = this.context.store.trouble();
    const heardNothing = !this.watcher.live && this.lastAnswerAt < waiter.joinedAt;
    if (trouble !== undefined || heardNothing) return unavailable(this.name, ms, trouble);
    return outOfTime(this.name, ms, this.table, this.context.store.refusal());
  }
}
