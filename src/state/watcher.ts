import { Abort, type Aborting } from '../runtime/cancellation';
import type { Entry, Store } from '../store/store';
import { jittered } from '../runtime/backoff';
import type { Clock } from '../runtime/clock';
import type { WatcherCounts } from '../store/context';
import { retry } from '../store/retry';
import type { EntryCache } from './entry-cache';

export interface WatcherOwner {
  /** An entry changed, or the cache became live. `entry`: what was announced, if one thing was. */
  changed(entry?: Entry): void;
  /** Everything was read while it was live, and nothing new was found. */
  confirmed(): void;
  /** The entries can not be read, for a reason that waiting does not mend. */
  failed(error: Error): void;
}

const SAFETY_READ_MS = 7_500;

/**
 * Keeps an entry cache up to date while somebody needs it. Listen first, then read, then apply by revision: what changes
 * between the two is heard, what changed before is read. Read again whenever announcements may have been missed.
 *
 * While somebody waits, a rare read looks for what no announcement told. It is a safety net: without faults it finds
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
  /** The last announcement: when the store wrote it by its clock, and when it was heard by ours. */
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

  /** Whether the cache shows everything that was announced, from a complete start. */
  get live(): boolean {
    return this.upToDate;
  }

  /** Whether the cache shows all that had happened by then, also what was not announced to us yet. */
  covers(time: number): boolean {
    return this.upToDate && this.readAskedAt >= time;
  }

  get running(): boolean {
    return this.stopListening !== undefined;
  }

  /** How long ago anything was heard of, or read, in ms. */
  get silentFor(): number {
    return this.clock.now() - Math.max(this.announced?.heardAt ?? -Infinity, this.readAskedAt);
  }

  /** How long ago the store wrote an entry, in ms, by its own clock; undefined while nothing was announced that could tell. */
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

  /** Whether somebody waits for a change, so that one which is never announced must not be missed for ever. */
  watch(on: boolean): void {
    if (this.watchful === on) return;
    this.watchful = on;
    this.planSafetyRead();
  }

  /** Reads everything again. Until that is done the cache does not count as live. */
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
      // Stopped and started again meanwhile: the new start found a read under way and left it to us.
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

  /** What keeps the store from answering may have kept announcements from us, too: it goes on until it has looked. */
  private async safetyRead(): Promise<void> {
    this.lookingAgain = true;
    try {
      if (this.upToDate) await this.lookAgain(this.stopping.signal);
    } catch {
      // For a reason that asking again at once would not mend.
    } finally {
      this.lookingAgain = false;
    }
    this.planSafetyRead();
  }

  private async lookAgain(stopped: Aborting): Promise<void> {
    this.counts.safetyReads++;
    // Once announcements may have been missed, everything is being read in any case.
    const look = async (): Promise<boolean | undefined> =>
      this.upToDate ? this.readOnce(stopped) : undefined;
    const news = await retry(this, look, stopped);
    if (stopped.aborted || news === undefined) return;
    if (!news) return this.owner.confirmed();
    this.counts.safetyFinds++;
    this.owner.changed();
  }
}
