import type { Entry } from '../store/store';
import type { SlotTable } from './slot-table';
import type { Clock } from '../runtime/clock';
import type { Watcher } from './watcher';
import type { Lease } from '../lease/lease';

/** The permits of this process on one primitive. Passes to each lease the changes of its slots. */
export class HoldRegistry {
  /** The leases, each with whether it receives changes that other clients make to its slots. */
  private readonly leases = new Map<Lease, boolean>();
  private readonly leaseOfKey = new Map<string, Lease>();
  /** How many leases receive changes. */
  private listening = 0;

  constructor(
    private readonly clock: Clock,
    private readonly table: SlotTable,
    private readonly feed: Watcher,
  ) {}

  get size(): number {
    return this.leases.size;
  }

  /** Whether any lease needs to receive changes. */
  get listens(): boolean {
    return this.listening > 0;
  }

  add(lease: Lease, entries: readonly { readonly key: string }[]): void {
    for (const { key } of entries) this.leaseOfKey.set(key, lease);
    if (this.leases.get(lease) === true) return;
    this.leases.set(lease, this.feed.running);
    if (this.feed.running) this.listening++;
  }

  /** Call when a lease has lasted long enough: from now on it receives the changes of its slots. */
  lasts(lease: Lease): void {
    if (this.leases.get(lease) !== false) return;
    this.leases.set(lease, true);
    this.listening++;
    // The table may have forgotten the entries if no watcher ran since the claim.
    for (const entry of lease.entries)
      if (this.leaseOfKey.get(entry.key) === lease) this.table.apply(entry, this.clock.now());
    this.feed.start();
  }

  /** From a revision on, the key holds nothing of ours, unless a lease has taken it again since. */
  freed(key: string, revision: number): void {
    const again = this.leaseOfKey
      .get(key)
      ?.held.some((slot) => slot.key === key && slot.revision >= revision);
    if (again !== true) this.leaseOfKey.delete(key);
  }

  remove(lease: Lease): void {
    const listens = this.leases.get(lease);
    if (listens === undefined) return;
    this.leases.delete(lease);
    if (listens) this.listening--;
    for (const { key } of lease.held) {
      if (this.leaseOfKey.get(key) === lease) this.leaseOfKey.delete(key);
    }
  }

  /** Whether a permit of this process holds the key. */
  has(key: string): boolean {
    return this.leaseOfKey.has(key);
  }

  /** The value to show for an entry of ours, since the bucket may still show the hold before. Undefined if the entry is not ours. */
  shown({ key, revision }: Entry): string | undefined {
    const lease = this.leaseOfKey.get(key);
    return lease?.entries.find((own) => own.key === key && own.revision === revision)?.value ?? undefined;
  }

  /** Passes to the lease the entry now known of one of its slots; undefined: there is no entry. */
  inform(key: string, entry: Entry | undefined): void {
    const lease = this.leaseOfKey.get(key);
    if (entry !== undefined) lease?.observe(entry);
    // The entry of a slot that was given back may be gone before the answer to the removal comes.
    else if (lease?.held.some((slot) => slot.key === key)) lease.lose('its entry is gone from the bucket');
  }

  /** Call when all entries were read: compares every lease with them. */
  informAll(): void {
    // All entries are looked up first: the loss of one lease may make the table forget the others.
    const seen = [...this.leaseOfKey.keys()].map((key) => [key, this.table.entries.get(key)] as const);
    for (const [key, entry] of seen) this.inform(key, entry);
  }

  loseAll(reason: string): void {
    for (const lease of [...this.leases.keys()]) lease.lose(reason);
  }

  async releaseAll(): Promise<void> {
    await Promise.allSettled([...this.leases.keys()].map((lease) => lease.release()));
  }
}
