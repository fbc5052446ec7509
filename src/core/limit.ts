import { CorruptEntryError, SemaphoreError } from '../errors';
import type { Board } from './board';
import type { Context } from './context';
import type { Keys } from './keys';
import { encodeRecord } from './record';
import type { Want } from './waiter';

/** How often a change of the limit is tried again when others change it at the same time. */
const MOST_TRIES = 50;

/** The limit as stored with the primitive, and which other numbers in the code have been dealt with. */
export class LimitStore {
  private readonly accepted = new Set<number>();

  constructor(
    private readonly context: Context,
    private readonly name: string,
    private readonly keys: Keys,
    private readonly board: Board,
  ) {}

  /**
   * Whether a number of slots in the code needs no more attention: it is the stored one, or was dealt with when it was
   * first used. Later changes of the limit are meant to be followed, not to contradict the code.
   */
  agreed(slots: number, stored: number): boolean {
    if (slots === stored) this.accepted.add(slots);
    return this.accepted.has(slots);
  }

  agree(slots: number): void {
    this.accepted.add(slots);
  }

  /** Reads everything, so that the board shows the limit and what is free. */
  async read(): Promise<void> {
    const { clock, store } = this.context;
    const askedAt = clock.now();
    const entries = await store.read([this.keys.all]);
    for (const entry of entries) this.board.apply(entry, askedAt);
    this.board.picture.retainOnly(new Set(entries.map(({ key }) => key)), askedAt);
    const stored = this.limit();
    if (stored === undefined) return;
    // What nobody ever used leaves no entry. Note it as free, as it is at this moment.
    for (let slot = 0, noted = 0; slot < stored && noted < MOST_NOTED; slot++) {
      const key = this.keys.slot(slot);
      if (this.board.picture.get(key) !== undefined) continue;
      this.board.picture.learnRevision(key, 0, askedAt);
      noted++;
    }
  }

  /**
   * Reads, stores or sets the limit, as somebody who wants a permit needs it to go on.
   * @throws CorruptEntryError, BackendUnavailableError
   */
  async settle({ slots, limitPolicy }: Want): Promise<void> {
    await this.read();
    const stored = this.limit();
    const overrides =
      slots !== undefined && limitPolicy === 'set' && !this.accepted.has(slots) && stored !== slots;
    if (stored === undefined || overrides) {
      await this.change((now) => (now === undefined || overrides ? (slots ?? DEFAULT_LIMIT) : undefined));
      await this.read();
    }
    if (slots !== undefined && limitPolicy === 'set') this.agree(slots);
  }

  /**
   * Stores what `change` makes of the stored limit (undefined: none), unless it makes undefined of it.
   * @throws CorruptEntryError, BackendUnavailableError
   */
  async change(
    change: (stored: number | undefined) => number | undefined,
  ): Promise<{ slots: number | undefined; changed: boolean }> {
    const { clock, store } = this.context;
    const key = this.keys.limit;
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const askedAt = clock.now();
      const [entry] = await store.read([key]);
      if (entry === undefined) this.board.picture.learnRevision(key, 0, askedAt);
      else this.board.apply(entry, askedAt);
      const stored = this.limit();
      const slots = change(stored);
      if (slots === undefined || slots === stored) return { slots: stored, changed: false };
      const value = encodeRecord({ slots });
      const result = await store.commit([{ key, expected: entry?.revision ?? 0, value }]);
      if (!result.committed) continue;
      this.board.apply(
        { key, value, revision: result.revisions[0] as number, writtenAt: clock.wallTime() },
        clock.now(),
      );
      this.agree(slots);
      return { slots, changed: true };
    }
    throw new SemaphoreError(
      'LIMIT_BUSY',
      `the limit of "${this.name}" is being changed by too many at once`,
      {
        primitive: this.name,
      },
    );
  }

  private limit(): number | undefined {
    const stored = this.board.limit?.limit;
    if (stored?.ok === false) {
      const reason = `the entry ${this.keys.limit} of "${this.name}" can not be read: ${stored.reason}`;
      throw new CorruptEntryError(reason, { primitive: this.name });
    }
    return stored?.record.slots;
  }
}

export const DEFAULT_LIMIT = 1;
/** How many slots never used are worth remembering. */
const MOST_NOTED = 16;
