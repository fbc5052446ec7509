import { Abort, type Aborting } from '../runtime/cancellation';
import type { Entry, Store } from '../store/store';
import { jittered } from '../runtime/backoff';
import type { Clock } from '../runtime/clock';
import type { WatcherCounts } from '../store/context';
import { retry } from '../store/retry';
import type { EntryCache } from './entry-cache';

export interface WatcherOwner {
  /** An entry changed, or the cache became live. @param entry the announced entry, if the cause is one announcement */
  changed(entry?: Entry): void;
  /** A read of all entries, made while the cache was live, found nothing new. */
  confirmed(): void;
  /** The entries can not be read, for a reason that waiting does not remove. */
  failed(error: Error): void;
}

const SAFETY_READ_MS = 7_500;

/**
 * Keeps an entry cache up to date while it is needed. It listens first, then reads, then applies entries by revision: a change
 * between the two is announced, an earlier change is read. It reads again whenever announcements may have been missed.
 *
 * While a waiter waits, a rare read looks for changes that were not announced. This is a safety net: without faults it finds
 * nothing, which {@link WatcherCounts} shows.
 */
export class Watcher {
  private stopListening: (() => void) | undefined;
  private cancelSafetyRead: (() => void) | undefined;
  private stopping = new Abort();
  private reading = false;
  private readAgain = false;
  private upToDate = false;
  private watchful = false;
  private lookingAgain = false;
  private readAskedAt = -Infinity;
  /** The last announcement: when the store wrote the entry, by its clock, and when we received it, by ours. */
  private announced: { readonly writtenAt: number; readonly heardAt: number } | undefined;

  constructor(
    readonly store: Store,
    readonly clock: Clock,
    private readonly picture: EntryCache,
    private readonly patterns: readonly string[],
    private readonly owner: WatcherOwner,
    private readonly counts: WatcherCounts,
    private readonly safetyReadMs = SAFETY_READ_MS,
  ) {}

  /** Whether the cache shows every announced change, beginning with a complete read. */
  get live(): boolean {
    return this.upToDate;
  }

  /** Whether the cache shows every change made before `time`, also changes that are not announced to us yet. */
  covers(time: number): boolean {
    return this.upToDate && this.readAskedAt >= time;
  }

  get running(): boolean {
    return this.stopListening !== undefined;
  }

  /** Time since the last announcement or read, in ms. */
  get silentFor(): number {
    return this.clock.now() - Math.max(this.announced?.heardAt ?? -Infinity, this.readAskedAt);
  }

  /** How long ago the store wrote an entry, in ms, by its own clock; undefined until an announcement shows that clock. */
  ageOf({ writtenAt }: Entry): number | undefined {
    if (this.announced === undefined) return undefined;
    return this.announced.writtenAt + this.clock.now() - this.announced.heardAt - writtenAt;
  }

  start(): void {
    if (this.running) return;
    this.stopping = new Abort();
    this.stopListening = this.store.listen(this.patterns, {
      changed: (entry) => {
        this.announced = { writtenAt: entry.writtenAt, heardAt: this.clock.now() };
        if (this.picture.apply(entry, this.clock.now())) this.owner.changed(entry);
      },
      interrupted: () => this.refresh(),
    });
    this.planSafetyRead();
    this.refresh();
  }

  stop(): void {
    if (!this.running) return;
    this.stopListening?.();
    this.stopListening = undefined;
    this.stopping.abort();
    this.upToDate = false;
    this.announced = undefined;
    this.watch(false);
  }

  /** @param on whether a waiter waits for a change. Then a change that is never announced must still be found. */
  watch(on: boolean): void {
    if (this.watchful === on) return;
    this.watchful = on;
    this.planSafetyRead();
  }

  /** Reads all entries again. Until the read is done the cache does not count as live. */
  refresh(): void {
    if (!this.running) return;
    this.upToDate = false;
    this.readAgain = true;
    if (!this.reading) void this.readUntilCurrent(this.stopping.signal);
  }

  private async readUntilCurrent(stopped: Aborting): Promise<void> {
    this.reading = true;
    try {
      while (this.readAgain && !stopped.aborted) {
        this.readAgain = false;
        await retry(this, () => this.readOnce(stopped), stopped);
      }
      if (stopped.aborted) return;
      this.upToDate = true;
    } catch (error) {
      if (!stopped.aborted) this.owner.failed(error as Error);
      return;
    } finally {
      this.reading = false;
      // Stopped and started again meanwhile: the new start found a read pending and left the reading to us.
      if (stopped.aborted && this.running) void this.readUntilCurrent(this.stopping.signal);
    }
    this.owner.changed();
  }

  private async readOnce(stopped: Aborting): Promise<boolean> {
    const askedAt = this.clock.now();
    const entries = await this.store.read(this.patterns);
    if (stopped.aborted) return false;
    const news = await this.picture.applyAll(entries, askedAt, this.clock);
    if (stopped.aborted) return false;
    this.readAskedAt = askedAt;
    return this.picture.retainOnly(new Set(entries.map(({ key }) => key)), askedAt) || news;
  }

  private planSafetyRead(): void {
    this.cancelSafetyRead?.();
    if (!this.watchful || !this.running || this.lookingAgain) return;
    this.cancelSafetyRead = this.clock.after(jittered(this.safetyReadMs, 0.33), () => void this.safetyRead());
  }

  /** Retries until the read succeeds: a fault that keeps the store from answering may also keep announcements from us. */
  private async safetyRead(): Promise<void> {
    this.lookingAgain = true;
    try {
      if (this.upToDate) await this.lookAgain(this.stopping.signal);
    } catch {
      // An immediate retry would not help. The next safety read tries again.
    } finally {
      this.lookingAgain = false;
    }
    this.planSafetyRead();
  }

  private async lookAgain(stopped: Aborting): Promise<void> {
    this.counts.safetyReads++;
    // If announcements may have been missed, a read of all entries is pending in any case.
    const look = async (): Promise<boolean | undefined> =>
      this.upToDate ? this.readOnce(stopped) : undefined;
    const news = await retry(this, look, stopped);
    if (stopped.aborted || news === undefined) return;
    if (!news) return this.owner.confirmed();
    this.counts.safetyFinds++;
    this.owner.changed();
  }
}
