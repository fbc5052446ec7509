import type { Entry } from '../store/store';
import { Abort } from '../runtime/cancellation';
import type { SlotTable } from '../state/slot-table';
import { isoTime } from '../runtime/clock';
import type { Context } from '../store/context';
import { newId } from '../runtime/id';
import { LASTING_MS, RENEW_AT, type RetainedHold, lastsFor, leaseEnd } from '../lease/lease';
import { type Hold, decodeHold, encodeRecord } from '../protocol/records';
import { type Removed, removeEntries } from '../store/remove-entries';
import { LAST_USE } from '../protocol/fencing-token';
import type { Want } from '../protocol/request';

/** What keeping slots needs of the engine that grants them. */
export interface RetainedSlotsHost {
  readonly context: Context;
  readonly table: SlotTable;
  /** Entries of ours hold nothing any more. */
  freed(entries: readonly Removed[]): void;
  /** Something else is kept than before. */
  keptChanged(): void;
  /** A write to what was kept is settled. */
  keeperSettled(): void;
  /** Nothing is kept, and nobody has been here for a while. */
  keeperIdle(): void;
}

export interface RetainedSlot {
  readonly hold: RetainedHold;
  /** The wall clock when it was let go of. */
  readonly since: number;
  /** Reading of the clock when it was let go of. */
  readonly keptAt: number;
  /** When to write down that it is kept; Infinity: it is written. */
  noteAt: number;
}

/** A write under way that says of a kept slot that it is kept. */
interface Note {
  readonly id: string;
  readonly abandon: Abort;
  /** Whether it is to be given back as soon as that is settled. */
  leaving: boolean;
  /** Whether it was taken away from us meanwhile. */
  gone: boolean;
}

/** Whether somebody can be granted a slot as it stands in the store. */
export function suits(want: Want, { ttl }: RetainedHold): boolean {
  return want.count === 1 && want.autoRenew && want.ttl === ttl;
}

/** How long a removal of what the server ends by itself is tried, beyond the end of its lease, in ms. */
const GRACE_MS = 100;

/**
 * Slots that this process keeps in the store after their release, so that its own next acquire needs no round trip.
 *
 * Invariants:
 * - A kept slot is granted again only before the end of the lease that it was last written with, by our own clock: timers only
 *   see to it that it is given back.
 * - Nothing is granted from it while a write to it is under way, and that write counts only if its answer came before the
 *   previous lease ended, as a renewal does.
 * - It is given back as soon as this process hears that somebody else waits. A demand notice that is lost costs those who wait `retain` ms
 *   after the last release, or, while this process goes on using it, until they say so again: when the demand notice has run out, or
 *   sooner, when a note shows them that it is kept. It never costs safety.
 * - What is written over, or removed, by somebody else is forgotten.
 */
export class RetainedSlots {
  private readonly kept = new Map<string, RetainedSlot>();
  private readonly notes = new Map<string, Note>();
  private givingBack = 0;
  private leases = 0;
  /** For how long after the last release to go on listening, so that the next one can be kept. */
  private listenUntil = -Infinity;
  private wakeAt = Infinity;
  private cancelTimer: (() => void) | undefined;
  private closed = false;

  constructor(private readonly host: RetainedSlotsHost) {}

  get size(): number {
    return this.kept.size;
  }

  /** Whether slots are being given back or written: what is free, or kept, will be known in a moment. */
  get busy(): boolean {
    return this.givingBack > 0 || this.notes.size > 0;
  }

  /** Whether it has to hear of changes. */
  get active(): boolean {
    return this.size > 0 || this.busy || this.leases > 0 || this.host.context.clock.now() < this.listenUntil;
  }

  /** A permit whose slot may be kept later. */
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

  /** Lets go of a slot that can be granted to somebody as it stands, if there is one. */
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

  /** What is under a key changed; undefined: nothing is there. */
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

  /** As our own views are to show it: nobody holds it. Undefined if it is not kept under that revision. */
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

  /** Writes down that a slot is kept, which prolongs it too. */
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
      // Refused for good, or never to be known.
    }
    this.notes.delete(key);
    const { leaving } = note;
    if (!note.gone) this.kept.delete(key);
    if (written === undefined) {
      // It was given up before it was sent, for one: then the slot stands as it did. Whatever else is there stays.
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

  /** Whether our write, announced before its answer came, is the last one known. */
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

  /** Does what is due. One timer for all: most of what it was set for is over when it comes. */
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

/** From when on it is not granted again, and is given back although nobody asked for it. */
function endOf({ hold: { deadline, retain }, keptAt }: RetainedSlot): number {
  return Math.min(deadline, keptAt + retain);
}

/** Whether it is to be written before it is granted again: a permit is to begin with most of its lease before it. */
function isWorn({ sentAt, ttl, uses }: RetainedHold, now: number): boolean {
  return now - sentAt > ttl * RENEW_AT || uses >= LAST_USE;
}

function isOf({ id }: Note, value: string): boolean {
  const decoded = decodeHold(value);
  return decoded.ok && decoded.record.permit === id;
}
