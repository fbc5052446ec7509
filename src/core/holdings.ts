import type { Entry } from '../store/store';
import type { Board } from './board';
import type { Clock } from './clock';
import type { Feed } from './feed';
import type { Lease } from './lease';

/** A hold that lasts longer than this listens for what others do to its slots. */
const LISTEN_AFTER_MS = 100;

/** The permits of this process on one primitive, and what each must hear of. */
export class Holdings {
  /** Each with how to stop listening on its behalf. */
  private readonly leases = new Map<Lease, () => void>();
  private readonly leaseOfKey = new Map<string, Lease>();
  private listening = 0;

  constructor(
    private readonly clock: Clock,
    private readonly board: Board,
    private readonly feed: Feed,
  ) {}

  get size(): number {
    return this.leases.size;
  }

  /** Whether any of them wants to hear of changes. */
  get listens(): boolean {
    return this.listening > 0;
  }

  add(lease: Lease, entries: readonly Entry[]): void {
    for (const { key } of entries) this.leaseOfKey.set(key, lease);
    this.leases.set(lease, this.listenFor(lease, entries));
  }

  /** Nothing of ours is under the key any more. */
  freed(key: string): void {
    this.leaseOfKey.delete(key);
  }

  remove(lease: Lease): void {
    const stopListening = this.leases.get(lease);
    if (stopListening === undefined) return;
    this.leases.delete(lease);
    for (const { key } of lease.held) {
      if (this.leaseOfKey.get(key) === lease) this.leaseOfKey.delete(key);
    }
    stopListening();
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
    const seen = [...this.leaseOfKey.keys()].map((key) => [key, this.board.picture.get(key)] as const);
    for (const [key, entry] of seen) this.inform(key, entry);
  }

  loseAll(reason: string): void {
    for (const lease of [...this.leases.keys()]) lease.lose(reason);
  }

  async releaseAll(): Promise<void> {
    await Promise.allSettled([...this.leases.keys()].map((lease) => lease.release()));
  }

  private listenFor(lease: Lease, entries: readonly Entry[]): () => void {
    let listening = false;
    const listen = (): void => {
      listening = true;
      this.listening++;
      const own = new Set(entries.map(({ key }) => key));
      for (const entry of lease.entries) if (own.has(entry.key)) this.board.apply(entry, this.clock.now());
      this.feed.start();
    };
    const cancel = this.feed.running ? listen() : this.clock.after(LISTEN_AFTER_MS, listen);
    return () => {
      cancel?.();
      if (listening) this.listening--;
    };
  }
}
