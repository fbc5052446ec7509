import type { SlotTable } from './slot-table';
import type { Clock } from '../runtime/clock';
import type { Keys } from '../protocol/keys';
import type { SlotLimit } from './limit';

/**
 * The limit of a primitive whose kind says it all, as that of a mutex does: never stored, never changed. What nobody has
 * used yet is taken for free, which costs a refused write at most.
 */
export class FixedLimit implements SlotLimit {
  readonly revision = 0;
  readonly doubted = 0;
  readonly mayOverhang = false;

  constructor(
    readonly known: number,
    clock: Clock,
    keys: Keys,
    table: SlotTable,
  ) {
    for (let slot = 0; slot < known; slot++) table.entries.learnRevision(keys.slot(slot), 0, clock.now());
  }

  loweredBetween(): boolean {
    return false;
  }

  doubt(): void {
    // There is nothing to be unsure of.
  }

  noteChange(): boolean {
    return false;
  }

  noteAnnounced(): void {
    // It never is.
  }

  noteUse(): void {
    // It does not go.
  }

  rest(): void {
    // It keeps no timer.
  }

  noteComplete(): void {
    // Nothing can be held above it.
  }

  agrees(): boolean {
    return true;
  }

  remember(): undefined {
    return undefined;
  }

  async refresh(): Promise<void> {
    // It is what it was.
  }

  async settle(): Promise<void> {
    // It is settled.
  }

  change(): Promise<{ slots: number; changed: boolean }> {
    return Promise.resolve({ slots: this.known, changed: false });
  }
}
