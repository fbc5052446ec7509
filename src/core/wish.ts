import { Abort } from './abort';
import type { Board } from './board';
import { isoTime } from './clock';
import type { Context } from './context';
import { newId } from './id';
import type { Keys } from './keys';
import { encodeRecord } from './record';
import { removeOwn } from './removal';

/** How long a wish stands if nobody takes it back, in ms. One that runs out while somebody still waits is written again. */
export const WISH_TTL_MS = 60_000;
/** How long to try to take one back. Then its TTL does. */
const REMOVAL_MS = 5_000;

/** What a wish needs of the engine whose waiters it speaks for. */
export interface WishHost {
  readonly context: Context;
  readonly keys: Keys;
  readonly board: Board;
  /** Whether somebody of ours waits without a ticket, which others would see. */
  readonly waits: boolean;
  /** Whether the board shows everything. */
  readonly live: boolean;
  /** Whether a slot is held by a permit of ours. */
  holds(key: string): boolean;
}

/**
 * Tells others that somebody of this process waits for what they keep after a release: one key for all who wait here. A hint
 * and no more: if it is lost, who waits does so until the keeper gives up the slot by itself.
 *
 * Written when slots are seen that others retain, and again when one was seen to be kept after it was written: its keeper has
 * not heard of it then, or had no reason to listen.
 */
export class Wish {
  /** Those of ours that may still be seen. */
  private readonly ids = new Set<string>();
  private stands: { readonly id: string; readonly key: string; readonly revision: number } | undefined;
  private writing: Abort | undefined;
  /** It could not be written: not tried again before somebody else waits. */
  private refused = false;

  constructor(private readonly host: WishHost) {}

  /** Whether a wish is one of ours. */
  isOurs(id: string): boolean {
    return this.ids.has(id);
  }

  /** Writes it or takes it back, where that is due. Cheap if not. */
  look(): void {
    const { board, context, live, waits } = this.host;
    if (!waits) return this.takeBack();
    if (!live || this.refused || this.writing !== undefined) return;
    const { stands } = this;
    if (stands === undefined) {
      if (this.isCalledFor(0)) context.background.add(this.write());
    } else if (!board.wishes.has(stands.id)) {
      this.forget(stands.id);
      this.look();
    } else if (board.kept.size > 0 && this.isCalledFor(stands.revision)) {
      this.takeBack();
      context.background.add(this.write());
    }
  }

  /** Whether others retain a slot, written after a wish was. */
  private isCalledFor(revision: number): boolean {
    const { board, keys } = this.host;
    for (const slot of revision === 0 ? board.retaining : board.kept) {
      const entry = board.taken.get(slot)?.entry;
      if (entry !== undefined && entry.revision > revision && !this.host.holds(keys.slot(slot))) return true;
    }
    return false;
  }

  private async write(): Promise<void> {
    const { board, context, keys } = this.host;
    const { clock, holder, store } = context;
    const id = newId();
    const key = keys.wish(id);
    const value = encodeRecord({ holder, since: isoTime(clock.wallTime()), ttl: WISH_TTL_MS });
    const abandon = new Abort();
    this.writing = abandon;
    this.ids.add(id);
    try {
      const result = await store.commit([{ key, expected: 0, value, ttl: WISH_TTL_MS }], { abandon });
      const [revision] = result.committed ? result.revisions : [];
      if (revision === undefined) {
        this.forget(id);
      } else {
        this.stands = { id, key, revision };
        board.apply({ key, revision, value, writtenAt: clock.wallTime() }, clock.now());
      }
    } catch {
      this.refused = true;
      this.forget(id);
    }
    this.writing = undefined;
    this.look();
  }

  private takeBack(): void {
    this.refused = false;
    this.writing?.abort();
    const { stands } = this;
    if (stands === undefined) return;
    this.stands = undefined;
    const { background, clock, store } = this.host.context;
    background.add(
      removeOwn(store, [stands], clock.now() + REMOVAL_MS).then(({ freed }) => {
        const writtenAt = clock.wallTime();
        for (const own of freed) this.host.board.apply({ ...own, value: null, writtenAt }, clock.now());
        this.ids.delete(stands.id);
      }),
    );
  }

  private forget(id: string): void {
    this.ids.delete(id);
    if (this.stands?.id === id) this.stands = undefined;
  }
}
