/** How many to remember that nobody uses at the moment; those used longest ago are forgotten first. */
const MOST_REMEMBERED = 20_000;

/** Things by key, made when first asked for. When there are many, one that is idle is forgotten for each that is made. */
export class Remembered<T extends { readonly idle: boolean }> {
  private readonly byKey = new Map<string, T>();

  get all(): T[] {
    return [...this.byKey.values()];
  }

  find(key: string): T | undefined {
    return this.byKey.get(key);
  }

  get(key: string, make: () => T): T {
    const found = this.byKey.get(key) ?? make();
    // Last used comes last: a Map keeps the order in which its keys were put in.
    this.byKey.delete(key);
    this.byKey.set(key, found);
    if (this.byKey.size > MOST_REMEMBERED) this.forgetOne();
    return found;
  }

  private forgetOne(): void {
    for (const [key, thing] of this.byKey) {
      if (!thing.idle) continue;
      this.byKey.delete(key);
      return;
    }
  }
}
