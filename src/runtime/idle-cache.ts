/** How many things to look at when one too many is kept: those in use are passed over until their turn comes again. */
const LOOKS = 4;

/**
 * Things by key, of which those that nobody uses at the moment are put away when there are too many: those used longest ago
 * first. What is in use stays, however many there are.
 */
export class IdleCache<T extends { readonly idle: boolean }> {
  private readonly byKey = new Map<string, T>();
  private latest: string | undefined;

  /** @param putAway told of what is no longer kept */
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

  /** The thing for a key: to be asked for again for each use, since one that is idle may be put away. */
  get(key: string, make: () => T): T {
    const known = this.byKey.get(key);
    if (known !== undefined && key === this.latest && this.byKey.size <= this.most) return known;
    const thing = known ?? make();
    // Last used comes last: a Map keeps the order in which its keys were put in.
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
