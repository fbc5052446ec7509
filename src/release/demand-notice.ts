import type { Entry } from '../store/store';
import { Abort } from '../runtime/cancellation';
import type { SlotTable } from '../state/slot-table';
import { isoTime } from '../runtime/clock';
import type { Context } from '../store/context';
import { newId } from '../runtime/id';
import type { Keys } from '../protocol/keys';
import { MAX_WAITING_TTL_MS, encodeRecord } from '../protocol/records';
import { type Removed, markerEntry, removeEntries } from '../store/remove-entries';

/**
 * How long a demand notice stands if nobody takes it back, in ms. One that runs out while somebody still waits is written again; one of
 * a process that died keeps others from keeping slots for so long.
 */
export const WISH_TTL_MS = MAX_WAITING_TTL_MS;
/** How often to write it, where the revision to expect turns out to be another one. */
const TRIES = 3;
/** How long to try to take one back. Then its TTL does. */
const REMOVAL_MS = 5_000;

/** What a demand notice needs of the engine whose waiters it speaks for. */
export interface DemandNoticeHost {
  readonly context: Context;
  readonly keys: Keys;
  readonly table: SlotTable;
  /** Whether somebody of ours waits without a ticket, which others would see. */
  readonly waits: boolean;
  /** Whether the table shows everything. */
  readonly live: boolean;
  /** Whether a slot is held by a permit of ours. */
  holds(key: string): boolean;
}

/**
 * Tells others that somebody of this process waits for what they keep after a release: one key for all who wait here. A hint
 * and no more: if it is lost, who waits does so until the keeping process gives up the slot by itself.
 *
 * Written when slots are seen that others retain, and again when one was seen to be kept after it was written: its keeping process has
 * not heard of it then, or had no reason to listen.
 */
export class DemandNotice {
  private readonly id = newId();
  private readonly key: string;
  /** Revision of the demand notice that stands. */
  private stands: number | undefined;
  /** Marker of the last one that was taken back, and when that was. */
  private gone = { revision: 0, ttl: 0, at: -Infinity };
  private writing: Abort | undefined;
  /** It could not be written: not tried again before somebody else waits. */
  private refused = false;

  constructor(private readonly host: DemandNoticeHost) {
    this.key = host.keys.wish(this.id);
  }

  /** Whether a demand notice is ours. */
  isOurs(id: string): boolean {
    return id === this.id;
  }

  /** Writes it or takes it back, where that is due. Cheap if not. */
  look(): void {
    const { table, context, live, waits } = this.host;
    if (!waits) return this.takeBack();
    if (!live || this.refused || this.writing !== undefined) return;
    // It may have run out.
    if (this.stands !== undefined && !table.wishes.has(this.id)) this.stands = undefined;
    if (this.isCalledFor()) context.background.add(this.write());
  }

  /** Whether others retain a slot: any, or one that was seen to be kept after the demand notice was written. */
  private isCalledFor(): boolean {
    const { table, keys } = this.host;
    const since = this.stands ?? 0;
    for (const slot of this.stands === undefined ? table.retaining : table.kept) {
      const entry = table.taken.get(slot)?.entry;
      if (entry !== undefined && entry.revision > since && !this.host.holds(keys.slot(slot))) return true;
    }
    return false;
  }

  private async write(): Promise<void> {
    const { context } = this.host;
    const { clock, holder, store } = context;
    const { key } = this;
    const value = encodeRecord({ holder, since: isoTime(clock.wallTime()), ttl: WISH_TTL_MS });
    const abandon = new Abort();
    this.writing = abandon;
    const marker = clock.now() - this.gone.at < this.gone.ttl ? this.gone.revision : 0;
    let expected: number | undefined = this.stands ?? marker;
    try {
      for (let tries = 0; tries < TRIES && expected !== undefined; tries++) {
        const result = await store.commit([{ key, expected, value, ttl: WISH_TTL_MS }], { abandon });
        // Nobody else writes it: what stands in the way is a marker, or one that we thought to be gone.
        if (!result.committed) expected = result.actual;
        else {
          this.stands = result.revisions[0];
          this.show({
            key,
            value,
            ttl: WISH_TTL_MS,
            revision: this.stands as number,
            writtenAt: clock.wallTime(),
          });
          break;
        }
      }
      this.refused = this.stands === undefined && !abandon.aborted;
    } catch {
      this.refused = true;
    }
    this.writing = undefined;
    this.look();
  }

  private takeBack(): void {
    this.refused = false;
    if (this.writing !== undefined) return this.writing.abort();
    const { key, stands: revision } = this;
    const ttl = WISH_TTL_MS;
    if (revision === undefined) return;
    this.stands = undefined;
    const { background, clock, store } = this.host.context;
    background.add(
      removeEntries(store, [{ key, revision, ttl, value: null }], clock.now() + REMOVAL_MS).then(
        ({ freed }) => freed.forEach((marker) => this.wentAway(marker)),
      ),
    );
  }

  private wentAway(marker: Removed): void {
    const { clock } = this.host.context;
    this.gone = { ...marker, at: clock.now() };
    this.show(markerEntry(marker, clock.wallTime()));
  }

  /** Others hear of it by the store; our own table may not listen any more. */
  private show(entry: Entry): void {
    const { table, context } = this.host;
    table.apply(entry, context.clock.now());
  }
}
