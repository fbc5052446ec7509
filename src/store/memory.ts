import { type Clock, systemClock } from '../runtime/clock';
import { matcher } from './pattern';
import {
  MARKER_TTL_MS,
  type CommitOptions,
  type CommitResult,
  type Entry,
  type Listener,
  type Store,
  type Write,
} from './store';

interface Slot extends Entry {
  cancelExpiry?: () => void;
}

/**
 * The store inside one process, for {@link LocalDispatcher} and for tests of the engine. It has the same semantics as the NATS
 * store, expiry and removal markers included, except that TTLs are exact and that it is never out of reach.
 */
export class MemoryStore implements Store {
  private readonly entries = new Map<string, Slot>();
  private readonly listeners = new Set<{ concerns: (key: string) => boolean; listener: Listener }>();
  private revision: number;

  /**
   * @param before the first revision. Default: as in a bucket, so that tokens of a later store are higher than tokens of an earlier one
   * @param markerTtl see {@link Store.markerTtl}. Default: the minimum, since nothing survives this store and so nothing comes back
   */
  constructor(
    private readonly clock: Clock = systemClock,
    before = Math.floor(clock.wallTime()) * 1000,
    readonly markerTtl: Store['markerTtl'] = () => MARKER_TTL_MS,
  ) {
    this.revision = before;
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  commit(writes: readonly Write[], options?: CommitOptions): Promise<CommitResult> {
    if (options?.abandon?.aborted === true) return Promise.resolve({ committed: false, withdrawn: 'unsent' });
    const sentAt = this.clock.now();
    for (const write of writes) {
      const actual = this.entries.get(write.expectedOf ?? write.key)?.revision ?? 0;
      if (actual !== write.expected) {
        return Promise.resolve(writes.length === 1 ? { committed: false, actual } : { committed: false });
      }
    }
    const revisions = writes.map((write) => this.put(write.key, write.value, write.ttl));
    return Promise.resolve({ committed: true, revisions, sentAt });
  }

  read(patterns: readonly string[]): Promise<readonly Entry[]> {
    const asked = matcher(patterns);
    const found = [...this.entries.values()].filter(({ key }) => asked(key));
    return Promise.resolve(
      found.map(({ key, revision, value, ttl, writtenAt }) => ({ key, revision, value, ttl, writtenAt })),
    );
  }

  listen(patterns: readonly string[], listener: Listener): () => void {
    const registration = { concerns: matcher(patterns), listener };
    this.listeners.add(registration);
    return () => this.listeners.delete(registration);
  }

  onReset(): () => void {
    return () => undefined;
  }

  down(): undefined {
    return undefined;
  }

  trouble(): undefined {
    return undefined;
  }

  refusal(): undefined {
    return undefined;
  }

  isCongested(): boolean {
    return false;
  }

  isClosed(): boolean {
    return false;
  }

  close(): Promise<void> {
    for (const entry of this.entries.values()) entry.cancelExpiry?.();
    this.entries.clear();
    this.listeners.clear();
    return Promise.resolve();
  }

  private put(key: string, value: string | null, ttl: number | undefined): number {
    this.entries.get(key)?.cancelExpiry?.();
    const entry: Slot = { key, value, ttl, revision: ++this.revision, writtenAt: this.clock.wallTime() };
    this.entries.set(key, entry);
    if (value === null) {
      if (ttl !== undefined) entry.cancelExpiry = this.clock.after(ttl, () => this.entries.delete(key));
    } else if (ttl !== undefined) {
      entry.cancelExpiry = this.clock.after(ttl, () => void this.put(key, null, MARKER_TTL_MS));
    }
    this.announce(entry);
    return entry.revision;
  }

  private announce(entry: Entry): void {
    for (const registration of this.listeners) {
      if (!registration.concerns(entry.key)) continue;
      queueMicrotask(() => {
        if (this.listeners.has(registration)) registration.listener.changed(entry);
      });
    }
  }
}
