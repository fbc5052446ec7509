import type { SlotTable } from './slot-table';
import type { Clock } from '../runtime/clock';
import type { Keys } from '../protocol/keys';
import type { SlotLimit } from './limit';
import { type FreeSlot, freeSlots } from './grantable';

/** Which slots of one primitive this process may try to claim now. */
export class FreeSlots {
  /** Slots for which a claim is under way. */
  private readonly reserved = new Set<readonly FreeSlot[]>();
  /** Slots of which a refused claim showed that the table is behind, and the revision it must reach. */
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

  /** As a table that shows everything has it, lowest first. */
  now(): FreeSlot[] {
    const limit = this.limit.known ?? 0;
    return this.usable(freeSlots(this.table, this.keys, limit, this.clock.now()));
  }

  /** Starting somewhere: processes that see the same free slots should not all try the same one. */
  spread(): FreeSlot[] {
    const free = this.now();
    const start = Math.floor(Math.random() * free.length);
    return [...free.slice(start), ...free.slice(0, start)];
  }

  /** While nobody tells us of changes: the slots that we were the last to use, as far as we know; latest first. */
  remembered(): FreeSlot[] {
    // Somebody may still hold slots above a lowered limit: how many are free can not be told from here.
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

  /** A claim for the slots is under way, until the returned function is called. */
  reserve(slots: readonly FreeSlot[]): () => void {
    this.reserved.add(slots);
    return () => this.reserved.delete(slots);
  }

  /**
   * A claim was refused.
   * @param actual the last revision of the slot, where it was one and the store said it
   * @param askedAt when the claim was sent
   * @returns whether that tells enough; if not, everything has to be read again
   */
  refused(slots: readonly FreeSlot[], actual: number | undefined, askedAt: number): boolean {
    const [only] = slots;
    // Which of several it was is not said, and a marker that went away is never announced.
    if (slots.length > 1 || only === undefined || actual === undefined) return false;
    const key = this.keys.slot(only.slot);
    if (this.table.entries.learnRevision(key, actual, askedAt, this.clock.now())) return true;
    if ((this.table.entries.get(key)?.revision ?? 0) < actual) this.outdated.set(key, actual);
    return true;
  }

  /** Everything was read: whatever a refused claim showed us to miss is on the table now. */
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
