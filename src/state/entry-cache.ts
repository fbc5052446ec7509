import { type Entry, storedTtl } from '../store/store';
import { type Clock, nextTurn } from '../runtime/clock';
import { type Removable, lastsFor } from '../store/remove-entries';

/** How long entries of a read are applied before other work of the process gets its turn, in ms. */
const SLICE_MS = 10;

/** An entry, and when this process received it, by its own clock. */
export interface Known extends Entry {
  readonly heardAt: number;
  /**
   * Reading of the clock by which every earlier entry of the key has run out, as far as this process knows them. Undefined: none of
   * them outlasts this one.
   */
  readonly earlier?: number | undefined;
}

/**
 * The entries known of a set of keys. An entry only ever moves forward in revision, in whatever order entries are received:
 * from a read, from an announcement, or from the answer to a write of our own.
 */
export class EntryCache {
  private readonly known = new Map<string, Known>();

  /** @param onChange called for every key whose known entry changes; undefined: there is no entry */
  constructor(private readonly onChange: (key: string, known: Known | undefined) => void = () => undefined) {}

  get(key: string): Known | undefined {
    return this.known.get(key);
  }

  get size(): number {
    return this.known.size;
  }

  entries(): IterableIterator<Known> {
    return this.known.values();
  }

  /** Applies an entry unless a newer one is known of the key. Returns whether it was new. */
  apply(entry: Entry, heardAt: number): boolean {
    const before = this.known.get(entry.key);
    if (before !== undefined && before.revision >= entry.revision) {
      // The marker is still there although it should be gone by our clock: expect its revision from now on.
      if (before.revision === entry.revision && isGone(before, heardAt))
        this.known.set(entry.key, { ...before, heardAt });
      return false;
    }
    const { key, revision, value, fault, ttl, writtenAt } = entry;
    const earlier = outlasting(before, ttl === undefined ? Infinity : heardAt + storedTtl(ttl));
    this.put({ key, revision, value, fault, ttl, writtenAt, heardAt, earlier });
    return true;
  }

  /**
   * Applies all entries of a read, in slices. Between the slices other work of the process goes on, and announcements are applied.
   * The revision tells which entry is newer, so the order does not matter.
   * @returns whether any entry was new
   */
  async applyAll(entries: readonly Entry[], askedAt: number, clock: Clock): Promise<boolean> {
    let news = false;
    let begunAt = clock.now();
    for (const entry of entries) {
      if (this.apply(entry, askedAt)) news = true;
      if (clock.now() - begunAt < SLICE_MS) continue;
      await nextTurn();
      begunAt = clock.now();
    }
    return news;
  }

  /**
   * Takes in the last revision of a key, which the store named in answer to a read or a refused write of `askedAt`. Returns
   * whether the key is known to hold no value: there is no entry, or still the removal marker that was known.
   */
  learnRevision(key: string, actual: number, askedAt: number, heardAt = askedAt): boolean {
    const before = this.known.get(key);
    if (actual === 0) {
      // An announcement since then may be newer than the answer.
      if (before !== undefined && before.revision > 0 && before.heardAt > askedAt) return false;
      const earlier = outlasting(before, heardAt);
      this.put({ key, revision: 0, value: null, writtenAt: 0, heardAt, earlier });
      return true;
    }
    if (before === undefined || before.revision !== actual || before.value !== null) return false;
    this.put({ ...before, heardAt });
    return true;
  }

  /** Forgets keys that a read begun at `askedAt` did not find, except keys received since. Returns whether a value was forgotten. */
  retainOnly(found: ReadonlySet<string>, askedAt: number): boolean {
    let changed = false;
    for (const { key, heardAt, value } of this.known.values()) {
      if (found.has(key) || heardAt >= askedAt) continue;
      this.drop(key);
      changed ||= value !== null;
    }
    return changed;
  }

  /**
   * The revision to expect of a key that holds no value. A removal marker expires without an announcement, its ttl after it was
   * written. A wrong guess around that time costs a refused write, whose answer names the right revision.
   */
  expectedIfFree(key: string, now: number): number {
    const known = this.known.get(key);
    return known === undefined || isGone(known, now) ? 0 : known.revision;
  }

  /** Reading of the clock by which all entries known of the key have run out; undefined: none with a TTL is known. */
  lastsUntil(key: string): number | undefined {
    return outlasting(this.known.get(key), -Infinity);
  }

  /** The entry prepared for removal: with the longest TTL left in its key's history, which the marker must outlast. */
  removable(entry: Entry, now: number): Removable {
    const { ttl } = entry;
    return ttl === undefined
      ? entry
      : { ...entry, ttl: lastsFor({ ttl, earlier: this.lastsUntil(entry.key) }, now) };
  }

  /** Forgets all keys except the ones that `keep` selects. */
  shrink(keep: (known: Known) => boolean): void {
    for (const known of this.known.values()) if (!keep(known)) this.drop(known.key);
  }

  /** Forgets one key. */
  forget(key: string): void {
    if (this.known.has(key)) this.drop(key);
  }

  clear(): void {
    this.shrink(() => false);
  }

  private put(known: Known): void {
    this.known.set(known.key, known);
    this.onChange(known.key, known);
  }

  private drop(key: string): void {
    this.known.delete(key);
    this.onChange(key, undefined);
  }
}

/** Reading of the clock by which an entry and all earlier ones have run out, if that is later than `until`. */
function outlasting(known: Known | undefined, until: number): number | undefined {
  if (known === undefined) return undefined;
  const { earlier = -Infinity, heardAt, ttl } = known;
  const last = ttl === undefined ? earlier : Math.max(earlier, heardAt + storedTtl(ttl));
  return last > until ? last : undefined;
}

/** Whether it is a marker that has run out since this process received it. */
function isGone({ value, ttl, heardAt }: Known, now: number): boolean {
  return value === null && ttl !== undefined && now - heardAt >= ttl;
}
