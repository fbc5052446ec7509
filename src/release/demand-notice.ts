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
 * How long a demand notice stands if it is not removed, in ms. If it runs out while a waiter is left, the process writes it again. The
 * notice of a process that died keeps others from retaining slots for that long.
 */
export const WISH_TTL_MS = MAX_WAITING_TTL_MS;
/** How often to write it, where the revision to expect turns out to be another one. */
const TRIES = 3;
/** How long to try to remove one. After that its TTL ends it. */
const REMOVAL_MS = 5_000;

/** What a demand notice needs of the engine for whose waiters it stands. */
export interface DemandNoticeHost {
  readonly context: Context;
  readonly keys: Keys;
  readonly table: SlotTable;
  /** Whether a waiter of this process waits without a ticket, which others would see. */
  readonly waits: boolean;
  /** Whether the table shows everything. */
  readonly live: boolean;
  /** Whether a permit of this process holds the slot. */
  holds(key: string): boolean;
}

/**
 * Tells other processes that this process waits for slots that they retain: one key for all waiters here. It is only a hint: if it is lost,
 * the waiters wait until the retaining process gives up the slot by itself.
 *
 * It is written when this process sees slots that others retain, and again when it sees a slot that was retained after the last write: the
 * retaining process had not heard of the notice then, or had no reason to listen.
 */
export class DemandNotice {
  private readonly id = newId();
  private readonly key: string;
  /** Revision of the demand notice that stands. */
  private stands: number | undefined;
  /** Marker of the last notice that was removed, and when that was. */
  private gone = { revision: 0, ttl: 0, at: -Infinity };
  private writing: Abort | undefined;
  /** It could not be written: not tried again before another waiter comes. */
  private refused = false;

  constructor(private readonly host: DemandNoticeHost) {
    this.key = host.keys.wish(this.id);
  }

  /** Whether a demand notice is of this process. */
  isOurs(id: string): boolean {
    return id === this.id;
  }

  /** Writes or removes it, where that is due. Cheap if not. */
  look(): void {
    const { table, context, live, waits } = this.host;
    if (!waits) return this.takeBack();
    if (!live || this.refused || this.writing !== undefined) return;
    // It may have run out.
    if (this.stands !== undefined && !table.wishes.has(this.id)) this.stands = undefined;
    if (this.isCalledFor()) context.background.add(this.write());
  }

  /** Whether others retain a slot: any, or one that was seen to be retained after the demand notice was written. */
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
        // No other process writes this key: the conflict is a marker, or an entry that seemed to be gone.
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

  /** Other processes hear of it by the store; the table of this process may have no watcher any more. */
  private show(entry: Entry): void {
    const { table, context } = this.host;
    table.apply(entry, context.clock.now());
  }
}
