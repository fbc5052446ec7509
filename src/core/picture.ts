import { MARKER_TTL_MS, type Entry } from '../store/store';

/** An entry, and when we heard of it by our own clock. */
export interface Known extends Entry {
  readonly heardAt: number;
}

/**
 * What is known of a set of keys. Entries only ever move forward in revision, in whatever order they are heard of:
 * from a read, from an announcement, or from the answer to a write of our own.
 */
export class Picture {
  private readonly known = new Map<string, Known>();

  get(key: string): Known | undefined {
    return this.known.get(key);
  }

  entries(): IterableIterator<Known> {
    return this.known.values();
  }

  /** Takes in an entry unless something newer is known of the key. Returns whether it was news. */
  apply(entry: Entry, heardAt: number): boolean {
    const before = this.known.get(entry.key);
    if (before !== undefined && before.revision >= entry.revision) return false;
    this.known.set(entry.key, { ...entry, heardAt });
    return true;
  }

  /**
   * Takes in the last revision that the store named when it refused a write. Returns whether the key is known to hold no
   * value: nothing is there, or still the removal marker that was known.
   */
  learnRevision(key: string, actual: number, heardAt: number): boolean {
    const before = this.known.get(key);
    if (actual === 0) {
      this.known.set(key, { key, revision: 0, value: null, writtenAt: 0, heardAt });
      return true;
    }
    if (before === undefined || before.revision !== actual || before.value !== null) return false;
    this.known.set(key, { ...before, heardAt });
    return true;
  }

  /** Forgets keys that a read begun at `askedAt` did not find, except those heard of since. */
  retainOnly(found: ReadonlySet<string>, askedAt: number): boolean {
    let changed = false;
    for (const { key, heardAt, value } of this.known.values()) {
      if (found.has(key) || heardAt >= askedAt) continue;
      this.known.delete(key);
      changed ||= value !== null;
    }
    return changed;
  }

  /**
   * The revision to expect of a key that holds no value. A removal marker goes away by itself and silently, a known time
   * after it was written; a wrong guess around that time costs a refused write, which says what is right.
   */
  expectedIfFree(key: string, now: number): number {
    const known = this.known.get(key);
    return known !== undefined && now - known.heardAt < MARKER_TTL_MS ? known.revision : 0;
  }

  /** Keeps only keys that hold no value, at most `most` of them: all that is of use when nobody tells of changes. */
  shrinkToFree(most: number): void {
    let kept = 0;
    for (const { key, value } of this.known.values()) {
      if (value !== null || ++kept > most) this.known.delete(key);
    }
  }

  clear(): void {
    this.known.clear();
  }
}
