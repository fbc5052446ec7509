import type { Entry } from '../store/store';
import type { SlotTable } from './slot-table';
import type { Clock } from '../runtime/clock';
import type { Watcher } from './watcher';
import type { Lease } from '../lease/lease';

/** The permits of this process on one primitive, and what each must hear of. */
export class HoldRegistry {
  /** With whether it hears what others do to its slots. */
  private readonly leases = new Map<Lease, boolean>();
  private readonly leaseOfKey = new Map<string, Lease>();
  /** How many of them do. */
  private listening = 0;

  constructor(
    private readonly clock: Clock,
    private readonly table: SlotTable,
    private readonly feed: Watcher,
  ) {}

  get size(): number {
    return this.leases.size;
  }

  /** Whether any of them wants to hear of changes. */
  get listens(): boolean {
    return this.listening > 0;
  }

  add(lease: Lease, entries: readonly { readonly key: string }[]): void {
    for (const { key } of entries) this.leaseOfKey.set(key, lease);
    if (this.leases.get(lease) === true) return;
    this.leases.set(lease, this.feed.running);
    if (this.feed.running) this.listening++;
  }

  /** A lease has lasted long enough to be listened for. */
  lasts(lease: Lease): void {
    if (this.leases.get(lease) !== false) return;
    this.leases.set(lease, true);
    this.listening++;
    // They were forgotten if nobody looked since the claim.
    for (const entry of lease.entries)
      if (this.leaseOfKey.get(entry.key) === lease) this.table.apply(entry, this.clock.now());
    this.feed.start();
  }

  /** Nothing of ours is under the key any more, from a revision on; unless it has been ours again since. */
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

  /** Whether a permit of ours holds it. */
  has(key: string): boolean {
    return this.leaseOfKey.has(key);
  }

  /** What the bucket is to say of an entry of ours: what is in it may be the hold before. Undefined if it is not ours. */
  shown({ key, revision }: Entry): string | undefined {
    const lease = this.leaseOfKey.get(key);
    return lease?.entries.find((own) => own.key === key && own.revision === revision)?.value ?? undefined;
  }

  /** Tells the lease concerned what was heard of one of its slots; undefined: that nothing is there. */
  inform(key: string, entry: Entry | undefined): void {
    const lease = this.leaseOfKey.get(key);
    if (entry !== undefined) lease?.observe(entry);
    // One that was given back may be gone before the answer to that comes.
    else if (lease?.held.some((slot) => slot.key === key)) lease.lose('its entry is gone from the bucket');
  }

  /** Everything was read: compares all with it. */
  informAll(): void {
    // All is looked up first: when one is lost, what is known of the others may be forgotten.
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
