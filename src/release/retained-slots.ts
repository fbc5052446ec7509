import type { Entry } from '../store/store';
import { Abort } from '../runtime/cancellation';
import type { SlotTable } from '../state/slot-table';
import { isoTime } from '../runtime/clock';
import type { Context } from '../store/context';
import { newId } from '../runtime/id';
import { LASTING_MS, RENEW_AT, type RetainedHold, leaseEnd } from '../lease/lease';
import { type Hold, decodeHold, encodeRecord } from '../protocol/records';
import { type Removed, lastsFor, removeEntries } from '../store/remove-entries';
import { LAST_USE } from '../protocol/fencing-token';
import type { Want } from '../protocol/request';

/** What retaining slots needs of the engine that grants them. */
export interface RetainedSlotsHost {
  readonly context: Context;
  readonly table: SlotTable;
  /** Entries of this process hold nothing any more. */
  freed(entries: readonly Removed[]): void;
  /** The set of retained slots has changed. */
  keptChanged(): void;
  /** A write to a retained slot is settled. */
  keeperSettled(): void;
  /** Nothing is retained, and there was no use for a while. */
  keeperIdle(): void;
}

export interface RetainedSlot {
  readonly hold: RetainedHold;
  /** Wall clock time of its release. */
  readonly since: number;
  /** Reading of the clock at its release. */
  readonly keptAt: number;
  /** When to store that it is retained; Infinity: it is stored. */
  noteAt: number;
}

/** A write under way which stores that a slot is retained. */
interface Note {
  readonly id: string;
  readonly abandon: Abort;
  /** Whether it is to be given back as soon as that is settled. */
  leaving: boolean;
  /** Whether the slot was lost to another write meanwhile. */
  gone: boolean;
}

/** Whether a slot can be granted for a request as it stands in the store. */
export function suits(want: Want, { ttl }: RetainedHold): boolean {
  return want.count === 1 && want.autoRenew && want.ttl === ttl;
}

/** How long, beyond the end of its lease, to try to remove an entry that the server expires by itself, in ms. */
const GRACE_MS = 100;

/**
 * Slots that this process retains in the store after their release, so that its own next acquire needs no round trip.
 *
 * Invariants:
 * - A retained slot is granted again only before the end of the lease that it was last written with, by this process's clock. Timers only
 *   give it back.
 * - Nothing is granted from it while a write to it is under way, and that write counts only if its answer came before the previous lease
 *   ended, as a renewal does.
 * - It is given back as soon as this process hears of a waiter elsewhere. If a demand notice is lost, waiters wait `retain` ms after the
 *   last release. While this process goes on using the slot, they wait until they write the notice again: when it has run out, or sooner,
 *   when a note shows them that the slot is retained. A lost notice never costs safety.
 * - A retained slot that another process writes over, or removes, is forgotten.
 */
export class RetainedSlots {
  private readonly kept = new Map<string, RetainedSlot>();
  private readonly notes = new Map<string, Note>();
  private givingBack = 0;
  private leases = 0;
  /** Until when to listen after the last release, so that the next slot can be retained. */
  private listenUntil = -Infinity;
  private wakeAt = Infinity;
  private cancelTimer: (() => void) | undefined;
  private closed = false;

  constructor(private readonly host: RetainedSlotsHost) {}

  get size(): number {
    return this.kept.size;
  }

  /** Whether slots are being given back or written: the free, or retained, slots will be known in a moment. */
  get busy(): boolean {
    return this.givingBack > 0 || this.notes.size > 0;
  }

  /** Whether it needs to hear of changes. */
  get active(): boolean {
    return this.size > 0 || this.busy || this.leases > 0 || this.host.context.clock.now() < this.listenUntil;
  }

  /** A permit begins whose slot may be retained later. */
  began(): void {
    this.leases++;
  }

  ended(retain: number): void {
    this.leases--;
    this.listenUntil = this.host.context.clock.now() + retain;
    this.wakeBy(this.listenUntil);
  }

  keep(hold: RetainedHold): void {
    const { clock } = this.host.context;
    const now = clock.now();
    const kept: RetainedSlot = {
      hold,
      since: clock.wallTime(),
      keptAt: now,
      noteAt: isWorn(hold, now) ? now : now + LASTING_MS,
    };
    this.kept.set(hold.key, kept);
    if (kept.noteAt <= now) this.note(kept);
    this.wakeBy(Math.min(kept.noteAt, endOf(kept)));
    this.host.keptChanged();
  }

  /** Takes a slot out that can be granted for a request as it stands, if there is one. */
  take(want: Want, limit: number): RetainedSlot | undefined {
    const now = this.host.context.clock.now();
    for (const kept of this.kept.values()) {
      const { hold } = kept;
      if (hold.slot >= limit || !suits(want, hold) || this.notes.has(hold.key)) continue;
      if (now >= endOf(kept)) this.giveBack(kept);
      else if (isWorn(hold, now)) this.note(kept);
      else {
        this.kept.delete(hold.key);
        this.host.keptChanged();
        return kept;
      }
    }
    return undefined;
  }

  close(): void {
    this.closed = true;
    this.cancelTimer?.();
    this.giveBackAll();
  }

  giveBackAll(): void {
    for (const kept of [...this.kept.values()]) this.giveBack(kept);
  }

  /** The entry under a key changed; undefined: nothing is there. */
  heard(key: string, entry: Entry | undefined): void {
    const kept = this.kept.get(key);
    if (kept === undefined || (entry !== undefined && entry.revision <= kept.hold.revision)) return;
    const note = this.notes.get(key);
    if (note !== undefined && entry?.value != null && isOf(note, entry.value)) return;
    this.drop(kept);
  }

  /** Everything was read. */
  compareAll(): void {
    for (const key of [...this.kept.keys()]) this.heard(key, this.host.table.entries.get(key));
  }

  /** The store lost everything. */
  dropAll(): void {
    for (const kept of [...this.kept.values()]) this.drop(kept);
  }

  /** The entry in the form that status views show: without a holder. Undefined if the slot is not retained under that revision. */
  shown({ key, revision }: Entry): string | undefined {
    const kept = this.kept.get(key);
    if (kept === undefined || kept.hold.revision !== revision) return undefined;
    return encodeRecord(this.record(kept, kept.hold.permit));
  }

  private drop({ hold: { key } }: RetainedSlot): void {
    const note = this.notes.get(key);
    if (note !== undefined) note.gone = true;
    note?.abandon.abort();
    this.kept.delete(key);
    this.host.keptChanged();
  }

  private giveBack({ hold }: RetainedSlot): void {
    const note = this.notes.get(hold.key);
    if (note === undefined) {
      this.kept.delete(hold.key);
      return this.remove(hold);
    }
    note.leaving = true;
    note.abandon.abort();
  }

  private remove(hold: RetainedHold): void {
    const { background, clock, store } = this.host.context;
    const { key, revision } = hold;
    const now = clock.now();
    this.givingBack++;
    const entry = { key, revision, ttl: lastsFor(hold, now), value: null };
    const removing = removeEntries(store, [entry], now + hold.ttl + GRACE_MS);
    const done = removing.then(({ freed }) => {
      this.givingBack--;
      this.host.freed(freed);
      this.host.keeperSettled();
      this.wakeBy(clock.now());
    });
    background.add(done);
  }

  /** Stores that a slot is retained, which extends its lease too. */
  private note(kept: RetainedSlot): void {
    kept.noteAt = Infinity;
    const note: Note = { id: newId(), abandon: new Abort(), leaving: false, gone: false };
    this.notes.set(kept.hold.key, note);
    this.host.context.background.add(this.write(kept, note));
  }

  private async write(kept: RetainedSlot, note: Note): Promise<void> {
    const { clock, store } = this.host.context;
    const { hold } = kept;
    const { key, ttl } = hold;
    const value = encodeRecord({ ...this.record(kept, note.id), after: hold.permit });
    let written: { revision: number; sentAt: number } | undefined;
    try {
      const write = { key, expected: hold.revision, value, ttl, replaces: lastsFor(hold, clock.now()) };
      const result = await store.commit([write], { abandon: note.abandon });
      if (result.committed) written = { revision: result.revisions[0] as number, sentAt: result.sentAt };
    } catch {
      // Refused for good, or the outcome never becomes known.
    }
    this.notes.delete(key);
    const { leaving } = note;
    if (!note.gone) this.kept.delete(key);
    if (written === undefined) {
      // The write may have been given up before it was sent: then the slot stands as it did. Any other entry there stays.
      if (!note.gone) this.remove(hold);
    } else {
      const deadline = leaseEnd(this.host.context, written.sentAt, ttl);
      const next: RetainedHold = { ...hold, ...written, permit: note.id, deadline, uses: 0 };
      const entry = { key, value, ttl, revision: written.revision, writtenAt: clock.wallTime() };
      if (note.gone || leaving || clock.now() >= hold.deadline) this.remove(next);
      else if (this.host.table.apply(entry, clock.now()) || this.stillThere(entry))
        this.kept.set(key, { ...kept, hold: next, noteAt: Infinity });
    }
    this.host.keeperSettled();
    this.wakeBy(clock.now());
  }

  /** Whether this process's write, announced before its answer came, is the last one known. */
  private stillThere({ key, revision }: Entry): boolean {
    return this.host.table.entries.get(key)?.revision === revision;
  }

  private record({ hold: { retain, ttl }, since }: RetainedSlot, permit: string): Hold {
    const { holder } = this.host.context;
    return { permit, holder, since: isoTime(since), ttl, retain, kept: true };
  }

  private wakeBy(time: number): void {
    if (this.closed || time >= this.wakeAt) return;
    const { clock } = this.host.context;
    this.cancelTimer?.();
    this.wakeAt = time;
    this.cancelTimer = clock.after(Math.max(1, time - clock.now()), () => this.look());
  }

  /** Does what is due. There is one timer for all: most tasks are over when it fires. */
  private look(): void {
    this.wakeAt = Infinity;
    const now = this.host.context.clock.now();
    for (const kept of [...this.kept.values()]) {
      const end = endOf(kept);
      if (now >= end) this.giveBack(kept);
      else if (now >= kept.noteAt) this.note(kept);
      if (this.kept.has(kept.hold.key)) this.wakeBy(Math.min(now >= end ? Infinity : end, kept.noteAt));
    }
    if (this.size > 0 || this.busy || this.leases > 0) return;
    if (now < this.listenUntil) this.wakeBy(this.listenUntil);
    else this.host.keeperIdle();
  }
}

/** From when on it is not granted again, and is given back even without a demand notice. */
function endOf({ hold: { deadline, retain }, keptAt }: RetainedSlot): number {
  return Math.min(deadline, keptAt + retain);
}

/** True if the hold must be renewed before reuse: a permit is to begin with most of its lease left. */
function isWorn({ sentAt, ttl, uses }: RetainedHold, now: number): boolean {
  return now - sentAt > ttl * RENEW_AT || uses >= LAST_USE;
}

function isOf({ id }: Note, value: string): boolean {
  const decoded = decodeHold(value);
  return decoded.ok && decoded.record.permit === id;
}
