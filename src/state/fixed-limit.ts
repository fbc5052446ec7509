import type { SlotTable } from './slot-table';
import type { Clock } from '../runtime/clock';
import type { Keys } from '../protocol/keys';
import type { SlotLimit } from './limit';

/**
 * The limit of a primitive whose kind fixes it, such as a mutex: it is never stored and never changed. A slot that this process
 * does not know yet is taken for free, which costs at most one refused write.
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
    // A fixed limit is always known.
  }

  noteChange(): boolean {
    return false;
  }

  noteAnnounced(): void {
    // A fixed limit is never announced.
  }

  noteUse(): void {
    // A fixed limit does not expire.
  }

  rest(): void {
    // There is no timer to stop.
  }

  noteComplete(): void {
    // No slot above a fixed limit can be held.
  }

  agrees(): boolean {
    return true;
  }

  remember(): undefined {
    return undefined;
  }

  async refresh(): Promise<void> {
    // There is nothing to read.
  }

  async settle(): Promise<void> {
    // There is nothing to store.
  }

  change(): Promise<{ slots: number; changed: boolean }> {
    return Promise.resolve({ slots: this.known, changed: false });
  }
}
