import type { SlotTable } from './slot-table';
import type { Clock } from '../runtime/clock';
import type { Keys } from '../protocol/keys';
import type { SlotLimit } from './limit';
import { type FreeSlot, freeSlots } from './grantable';

/** The slots of one primitive that this process may try to claim now. */
export class FreeSlots {
  /** Slots with a pending claim. */
  private readonly reserved = new Set<readonly FreeSlot[]>();
  /** Keys of slots for which a refused claim showed that the table is outdated, with the revision that it must reach. */
  private readonly outdated = new Map<string, number>();

  constructor(
    private readonly clock: Clock,
    private readonly keys: Keys,
    private readonly table: SlotTable,
    private readonly limit: SlotLimit,
  ) {}

  get claiming(): boolean {
    return this.reserved.size > 0;
  }

  /** The free slots according to a table that shows all entries, lowest first. */
  now(): FreeSlot[] {
    const limit = this.limit.known ?? 0;
    return this.usable(freeSlots(this.table, this.keys, limit, this.clock.now()));
  }

  /** The same slots from a random start, so that processes which see the same free slots do not all try the same one. */
  spread(): FreeSlot[] {
    const free = this.now();
    const start = Math.floor(Math.random() * free.length);
    return [...free.slice(start), ...free.slice(0, start)];
  }

  /** The slots that this process used last, as far as it knows, latest first. For use while no watcher runs. */
  remembered(): FreeSlot[] {
    // Slots above a lowered limit may still be held: the number of free slots is then unknown.
    if (this.limit.mayOverhang) return [];
    const { entries } = this.table;
    const limit = this.limit.known ?? 0;
    const now = this.clock.now();
    const remembered: FreeSlot[] = [];
    for (const { key, value } of entries.entries()) {
      const part = this.keys.parse(key);
      if (part?.part !== 'slot' || value !== null || part.slot >= limit) continue;
      remembered.push({ slot: part.slot, expected: entries.expectedIfFree(key, now) });
    }
    return this.usable(remembered.reverse());
  }

  /** Marks the slots as being claimed, until the returned function is called. */
  reserve(slots: readonly FreeSlot[]): () => void {
    this.reserved.add(slots);
    return () => this.reserved.delete(slots);
  }

  /**
   * Takes in that a claim was refused.
   * @param actual the last revision of the slot, if the claim was for one slot and the store named it
   * @param askedAt reading of the clock when the claim was sent
   * @returns whether that is enough to go on; if not, all entries must be read again
   */
  refused(slots: readonly FreeSlot[], actual: number | undefined, askedAt: number): boolean {
    const [only] = slots;
    // The store does not say which of several slots it refused, and the expiry of a marker is never announced.
    if (slots.length > 1 || only === undefined || actual === undefined) return false;
    const key = this.keys.slot(only.slot);
    if (this.table.entries.learnRevision(key, actual, askedAt, this.clock.now())) return true;
    if ((this.table.entries.get(key)?.revision ?? 0) < actual) this.outdated.set(key, actual);
    return true;
  }

  /** Call when all entries were read: the table now shows what refused claims had shown to be missing. */
  caughtUp(): void {
    if (this.outdated.size > 0) this.outdated.clear();
  }

  private usable(slots: FreeSlot[]): FreeSlot[] {
    if (this.reserved.size === 0 && this.outdated.size === 0) return slots;
    const busy = new Set<number>();
    for (const reserved of this.reserved) for (const { slot } of reserved) busy.add(slot);
    return slots.filter(({ slot }) => !busy.has(slot) && !this.isOutdated(this.keys.slot(slot)));
  }

  private isOutdated(key: string): boolean {
    const atLeast = this.outdated.get(key);
    if (atLeast === undefined) return false;
    if ((this.table.entries.get(key)?.revision ?? 0) < atLeast) return true;
    this.outdated.delete(key);
    return false;
  }
}
