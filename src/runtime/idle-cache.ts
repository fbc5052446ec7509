/** How many entries to check when the cache is too large. An entry in use is skipped and becomes the newest. */
const LOOKS = 4;

/**
 * A cache of things by key. When there are too many, idle things are removed, least recently used first. A thing in use stays,
 * however many there are.
 */
export class IdleCache<T extends { readonly idle: boolean }> {
  private readonly byKey = new Map<string, T>();
  private latest: string | undefined;

  /** @param putAway called with every thing that is removed */
  constructor(
    private readonly most: number,
    private readonly putAway: (key: string, thing: T) => void = () => undefined,
  ) {}

  get all(): T[] {
    return [...this.byKey.values()];
  }

  find(key: string): T | undefined {
    return this.byKey.get(key);
  }

  /** The thing for a key. Call it again for each use, since an idle thing may be removed. */
  get(key: string, make: () => T): T {
    const known = this.byKey.get(key);
    if (known !== undefined && key === this.latest && this.byKey.size <= this.most) return known;
    const thing = known ?? make();
    // The last used thing comes last: a Map keeps the order in which its keys were inserted.
    this.byKey.delete(key);
    this.byKey.set(key, thing);
    this.latest = key;
    for (let i = 0; i < LOOKS && this.byKey.size > this.most; i++) this.lookAtOldest();
    return thing;
  }

  private lookAtOldest(): void {
    const [oldest] = this.byKey;
    if (oldest === undefined) return;
    const [key, thing] = oldest;
    this.byKey.delete(key);
    if (thing.idle) this.putAway(key, thing);
    else this.byKey.set(key, thing);
  }
}
