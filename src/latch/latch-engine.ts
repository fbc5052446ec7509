import { SemaphoreError } from '../errors';
import type { Store } from '../store/store';
import { Abort } from '../runtime/cancellation';
import { backoff } from '../runtime/backoff';
import { sleep } from '../runtime/clock';
import type { Context } from '../store/context';
import { Watcher } from '../state/watcher';
import { newId } from '../runtime/id';
import { retry } from '../store/retry';
import { LatchTable, type LatchKeys } from './latch-table';
import { LatchWaiter } from './latch-waiter';
import { throwIfAborted } from '../runtime/on-abort';
import { type Round, encodeRecord } from '../protocol/records';
import { corrupt, dispatcherClosed, latchInUse, limitConflict, stillInUse } from '../state/refusals';
import { removeEntries } from '../store/remove-entries';
import type { Patience } from '../protocol/request';

/** A count-down that has not been written yet. */
interface Counting {
  /** The total in the code. */
  readonly wanted: number | undefined;
  readonly count: number;
  readonly resolve: (left: number) => void;
  readonly reject: (error: Error) => void;
}

type Observer = (failure?: Error) => void;

/** A wait with timeout 0 still gives the server this long to answer. */
const ANSWER_WITHIN_MS = 2_000;
/** A mere look gets this long, as every read. */
const LOOK_MS = 5_000;
/** How often to check whether a latch that is being removed is gone completely. */
const MAX_REMOVAL_LOOKS = 20;

/**
 * Everything that this process does to one latch.
 *
 * Invariants:
 * - Every client counts under a key of its own, its share, under which no other client counts: what is left is the total less all shares.
 *   So clients never race each other, and the outcome of a write whose answer was lost can always be found out: the share says how much
 *   this client has counted. (Counting in one key for all could not do that: another client's write over it would have removed the proof.)
 * - A share names its round. A new round begins only when the one before has reached zero.
 * - Once a client sees zero, it marks the round as over, and only then shares are removed.
 *
 * Waiters hear of every share by a {@link Watcher}. One write is under way at a time; counts that come in meanwhile go together into the
 * next.
 */
export class LatchEngine {
  readonly table: LatchTable;
  private readonly feed: Watcher;
  private readonly share: string;
  private readonly waiters = new Set<LatchWaiter>();
  private readonly observers = new Set<Observer>();
  private readonly queue: Counting[] = [];
  /** Numbers in the code that were compared with the stored one. */
  private readonly accepted = new Set<number>();
  private counting = false;
  private readonly ending = new Abort();

  constructor(
    private readonly context: Context,
    readonly name: string,
    private readonly keys: LatchKeys,
  ) {
    const { clock, counts, store } = context;
    this.table = new LatchTable(keys);
    this.share = keys.share(newId());
    this.feed = new Watcher(
      store,
      clock,
      this.table.picture,
      [keys.all],
      {
        changed: () => this.changed(),
        confirmed: () => this.changed(),
        failed: (error) => this.failed(error),
      },
      counts,
    );
  }

  get idle(): boolean {
    return this.waiters.size + this.observers.size + this.queue.length === 0 && !this.counting;
  }

  /** Whether the table shows everything. */
  get live(): boolean {
    return this.feed.live;
  }

  /** @throws DispatcherClosedError */
  checkOpen(): void {
    if (this.ending.aborted) throw dispatcherClosed(this.name);
  }

  // ---- counting

  /** Begins a round, unless one is under way. Resolves with whether it did. */
  async trySet(total: number): Promise<boolean> {
    this.checkOpen();
    const round = newId();
    for (const pause of backoff(5, 1_000)) {
      const table = await this.look();
      const stored = this.readable(table);
      // The round of this client, stored by an attempt that was refused later: its answer had been lost.
      if (stored?.round === round) break;
      if (stored !== undefined && !table.isZero) return false;
      if (await this.write(table, this.keys.round, { round, total })) {
        this.context.background.add(this.removeShares(table));
        break;
      }
      await this.pause(pause);
    }
    this.accepted.add(total);
    return true;
  }

  /**
   * Counts down, together with all count-downs at this moment. Resolves with what is left.
   * @param wanted the total in the code, stored if none is stored
   */
  async countDown(count: number, wanted: number | undefined): Promise<number> {
    this.checkOpen();
    return new Promise((resolve, reject) => {
      this.queue.push({ wanted, count, resolve, reject });
      if (!this.counting) this.context.background.add(this.countAll());
    });
  }

  /** A table that shows everything as it is at the time of the call; waits no longer than `until`. */
  look(until?: number): Promise<LatchTable> {
    return this.readBoard([this.keys.all], until);
  }

  /** A table to look at, within the time of a read. */
  see(): Promise<LatchTable> {
    return this.look(this.context.clock.now() + LOOK_MS);
  }

  /** What is left, zero or more; undefined if no round is stored. */
  async left(): Promise<number | undefined> {
    const table = await this.see();
    return this.readable(table) === undefined ? undefined : Math.max(0, table.left ?? 0);
  }

  /**
   * Removes all entries of the latch; waiters fail. Resolves with whether there were any.
   * @throws PrimitiveInUseError, without `force`, while its round has not reached zero
   */
  async remove(force: boolean): Promise<boolean> {
    this.checkOpen();
    this.accepted.clear();
    let found = false;
    // The last client to count writes once more, that zero was reached: it may need another look.
    for (let looks = 0; looks < MAX_REMOVAL_LOOKS; looks++) {
      const table = await this.see();
      const { left } = table;
      if (!force && left !== undefined && left > 0) throw latchInUse(this.name, left);
      const entries = [...table.picture.entries()].filter(({ value }) => value !== null);
      if (entries.length === 0) return found;
      found = true;
      const { failure } = await removeEntries(
        this.context.store,
        entries,
        this.context.clock.now() + LOOK_MS,
      );
      if (failure !== undefined) throw failure;
    }
    throw stillInUse(this.name);
  }

  // ---- waiting

  /** Waits for zero. */
  async wait(patience: Patience, wanted: number | undefined): Promise<void> {
    this.checkOpen();
    throwIfAborted(patience.signal);
    const { clock, store } = this.context;
    const waiter = new LatchWaiter(this.name, clock, store, wanted, patience, () => {
      this.waiters.delete(waiter);
      this.rest();
    });
    if (patience.timeout === 0) {
      const once = this.look(clock.now() + ANSWER_WITHIN_MS).then(
        (table) => this.serve(waiter, table, true),
        (error) => waiter.settle(error as Error),
      );
      this.context.background.add(once);
      return waiter.result;
    }
    this.waiters.add(waiter);
    this.listen();
    if (this.feed.live) this.serve(waiter, this.table);
    return waiter.result;
  }

  /** Keeps the table up to date, and calls back whenever it changes or that fails. Returns a function that stops that. */
  observe(callback: Observer): () => void {
    this.observers.add(callback);
    this.listen();
    return () => {
      this.observers.delete(callback);
      this.rest();
    };
  }

  // ---- ends

  /** The store lost all entries at once. */
  reset(): void {
    this.accepted.clear();
    this.table.picture.clear();
    for (const waiter of [...this.waiters]) waiter.found(undefined, false);
  }

  /** Refuses all waiters. The close of the dispatcher waits for writes under way. */
  close(): void {
    this.ending.abort();
    this.failed(dispatcherClosed(this.name));
    for (const { reject } of this.queue.splice(0)) reject(dispatcherClosed(this.name));
  }

  // ---- within

  private get unused(): boolean {
    return this.waiters.size + this.observers.size === 0;
  }

  private listen(): void {
    this.feed.watch(true);
    this.feed.start();
  }

  private rest(): void {
    if (!this.unused) return;
    this.feed.stop();
    this.table.picture.clear();
  }

  private changed(): void {
    if (this.feed.live) for (const waiter of [...this.waiters]) this.serve(waiter, this.table);
    for (const observer of [...this.observers]) observer();
  }

  private failed(error: Error): void {
    for (const waiter of [...this.waiters]) waiter.settle(error);
    for (const observer of [...this.observers]) observer(error);
    this.feed.stop();
  }

  /** Shows a waiter the present state. `once`: it is the only look of this waiter. */
  private serve(waiter: LatchWaiter, table: LatchTable, once = false): void {
    try {
      const round = this.readable(table);
      if (round !== undefined) this.compare(waiter.wanted, round);
      waiter.found(round, table.isZero);
      if (once) waiter.timeIsUp();
    } catch (error) {
      waiter.settle(error as Error);
    }
  }

  private async countAll(): Promise<void> {
    this.counting = true;
    try {
      while (this.queue.length > 0) {
        const batch = await this.admit(this.queue.splice(0));
        if (batch.length === 0) continue;
        try {
          let left = await this.count(batch.reduce((sum, { count }) => sum + count, 0));
          // The last of them has what is left now, those before it what was left after them.
          for (const { count, resolve } of batch.reverse()) {
            resolve(Math.max(0, left));
            left += count;
          }
        } catch (error) {
          for (const { reject } of batch) reject(error as Error);
        }
      }
    } finally {
      this.counting = false;
    }
  }

  /** Refuses count-downs whose total in the code differs from the stored one. */
  private async admit(batch: readonly Counting[]): Promise<Counting[]> {
    const admitted: Counting[] = [];
    for (const counting of batch) {
      try {
        const { wanted } = counting;
        if (wanted !== undefined && !this.accepted.has(wanted)) await this.agree(wanted);
        admitted.push(counting);
      } catch (error) {
        counting.reject(error as Error);
      }
    }
    return admitted;
  }

  /** Adds to this client's share, once, whether or not the answers arrive. Resolves with what is left, which may be below zero. */
  private async count(more: number): Promise<number> {
    let target: { readonly round: string; readonly done: number } | undefined;
    for (const pause of backoff(5, 1_000)) {
      const table = await this.readBoard([this.keys.round, this.share]);
      const round = this.readable(table);
      if (round === undefined) throw notSet(this.name);
      // Whether this client's count was part of the round that is over no longer matters.
      if (round.over === true || (target !== undefined && target.round !== round.round)) return -more;
      const done = table.doneBy(this.share);
      target ??= { round: round.round, done: done + more };
      if (done >= target.done) break;
      const { holder } = this.context;
      if (await this.write(table, this.share, { ...target, holder })) break;
      await this.pause(pause);
    }
    const after = await this.look();
    const round = this.readable(after);
    if (round === undefined || round.round !== target?.round || round.over === true) {
      this.context.background.add(this.removeShares(after, this.share));
      return -more;
    }
    if (after.isZero) this.context.background.add(this.finish(after, round));
    return after.left ?? 0;
  }

  /** Marks a round as over. The client that marks it removes the shares. */
  private async finish(table: LatchTable, round: Round): Promise<void> {
    if (await this.write(table, this.keys.round, { ...round, over: true })) await this.removeShares(table);
  }

  /** Removes shares that no longer count, unless they have changed since. */
  private async removeShares(table: LatchTable, only?: string): Promise<void> {
    const gone = table.standing.filter(({ key }) => only === undefined || key === only);
    const { failure } = await removeEntries(this.context.store, gone);
    if (failure !== undefined) throw failure;
  }

  /** Compares the total in the code with the stored one, and stores it if none is stored. */
  private async agree(wanted: number): Promise<void> {
    for (const pause of backoff(5, 1_000)) {
      const table = await this.readBoard([this.keys.round]);
      const round = this.readable(table);
      if (round !== undefined) return this.compare(wanted, round);
      if (await this.write(table, this.keys.round, { round: newId(), total: wanted })) break;
      await this.pause(pause);
    }
    this.accepted.add(wanted);
  }

  private compare(wanted: number | undefined, { total }: Round): void {
    if (wanted === undefined || this.accepted.has(wanted)) return;
    if (wanted !== total) throw limitConflict(this.name, wanted, total, 'latch');
    this.accepted.add(wanted);
  }

  private readable(table: LatchTable): Round | undefined {
    const { round } = table;
    if (round?.ok === false) throw corrupt(this.name, this.keys.round, round.reason);
    return round?.record;
  }

  /** Writes over an entry that a table shows. Resolves with whether that entry was still there. */
  private async write(table: LatchTable, key: string, record: object): Promise<boolean> {
    const expected = table.picture.get(key)?.revision ?? 0;
    const result = await this.context.store.commit([{ key, expected, value: encodeRecord(record) }]);
    return result.committed;
  }

  /** Reads, however long the server is out of reach; with `until`, no longer than that. */
  private async readBoard(patterns: string[], until?: number): Promise<LatchTable> {
    const { clock, store } = this.context;
    const read = (): ReturnType<Store['read']> => store.read(patterns, { until });
    const askedAt = clock.now();
    const entries = until === undefined ? await retry(this.context, read, this.ending.signal) : await read();
    if (entries === undefined) throw dispatcherClosed(this.name);
    const table = new LatchTable(this.keys);
    for (const entry of entries) table.apply(entry, askedAt);
    return table;
  }

  private async pause(ms: number): Promise<void> {
    await sleep(this.context.clock, ms, this.ending.signal, { keepAlive: true });
    this.checkOpen();
  }
}

function notSet(primitive: string): SemaphoreError {
  return new SemaphoreError(
    'LATCH_NOT_SET',
    `the latch "${primitive}" has no count: give one in the code, or call trySetCount first`,
    { primitive },
  );
}
