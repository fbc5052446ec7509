import { BackendUnavailableError, PermitLostError } from '../errors';
import type { Entry } from '../store/store';
import { Abort } from '../runtime/cancellation';
import { atDeadline } from '../runtime/clock';
import type { Context } from '../store/context';
import { PULSE_MS } from '../runtime/batched-timers';
import { type Removed, removeEntries } from '../store/remove-entries';
import { fencingToken } from '../protocol/fencing-token';
import type { LeaseRecord } from '../protocol/permit-record';

/** One slot that a lease holds. */
export interface HeldSlot {
  readonly slot: number;
  readonly key: string;
  /** Revision of our last write to it. */
  revision: number;
  /** The ttl that it was written with, in ms: how long the store keeps it from then on. */
  ttl: number;
  /** Reading of the clock by which all that was written to it before has run out. Undefined: nothing that outlasts the last write. */
  earlier?: number | undefined;
  /** A renewal of it was withdrawn by a marker, which removed it. */
  withdrawn?: boolean;
}

/** A write over the slot of a lease that has just ended, by which another of this process takes it over. */
export interface Succession {
  /** The permit that held the slot. */
  readonly permit: string;
  /** End of the lease that held the slot: an answer that comes later does not count. */
  readonly deadline: number;
  /** The write was answered. @param ours whether the slot was still the lease's until then */
  answered(ours: boolean): void;
  failed(error: Error): void;
}

export interface LeaseTerms {
  readonly primitive: string;
  readonly record: LeaseRecord;
  readonly ttl: number;
  /**
   * How long it lasts before the first renewal, in ms, where that is not its ttl. It ends as long before the server ends it as it
   * will with its ttl, and is renewed soon, also without `autoRenew`.
   */
  readonly lasts?: number;
  readonly slots: HeldSlot[];
  /** Reading of the clock before the claim was sent. */
  readonly sentAt: number;
  /** Reading of the clock when this process took the slot from the store, not from one of its own. Default: now. */
  readonly turnSince?: number | undefined;
  /** Reading of the clock when this process got to know that the slots were free. */
  readonly freeSince?: number | undefined;
  readonly autoRenew: boolean;
  /** When to renew it, as a share of its ttl. Default: {@link RENEW_AT}. */
  readonly renewShare?: number;
  /** For how long the slot is kept for this process after a release, in ms. Default: not at all. */
  readonly retain?: number;
  /** Which grant of a kept slot this is, under the revision of that slot. Nothing was written for it. Default: it was claimed. */
  readonly use?: number;
  /** The permit that the slot's entry names, if another one. */
  readonly over?: string;
}

/** A hold on one slot that somebody has just let go of, as it stands in the store. */
export interface RetainedHold {
  readonly slot: number;
  readonly key: string;
  readonly revision: number;
  /** The permit that the entry names. */
  readonly permit: string;
  /** Reading of the clock before the last write was sent. */
  readonly sentAt: number;
  readonly ttl: number;
  /** See {@link HeldSlot.earlier}. */
  readonly earlier: number | undefined;
  /** Until when it can be relied on. */
  readonly deadline: number;
  /** How many grants were made under its revision, besides the one that wrote it. */
  readonly uses: number;
  /** For how long to keep it, in ms. */
  readonly retain: number;
  /** Reading of the clock when this process took the slot from the store. */
  readonly turnSince: number;
}

/** Told what becomes of a lease. */
export interface LeaseWatcher {
  /** A renewal was answered, or went without answer. */
  renewed(acknowledged: boolean): void;
  /** Some of its slots were given back. */
  gaveBack(count: number): void;
  released(): void;
  lost(error: PermitLostError): void;
}

/** Who keeps the books of a lease. */
export interface LeaseOwner {
  /** The slots hold nothing any more, by our own write of the given revisions. */
  freed(slots: readonly Removed[]): void;
  /** The lease has lasted for {@link LASTING_MS}: what happens to its slots is worth listening for from now on. */
  lasts?(lease: Lease): void;
  /** The lease is about to be released. @returns what to wait for before it is decided who has its slot next, if anything */
  releasing?(): Promise<void> | undefined;
  /**
   * The lease is being released: whether somebody of ours takes its slot over with one write, instead of its being given
   * back and claimed again, or it is given to somebody else. @returns whether it was still the lease's; undefined if neither
   */
  passOn?(lease: Lease, slot: HeldSlot): Promise<boolean> | undefined;
  /** The lease is being released: whether its slot is kept for the next of this process, and not given back. */
  keep?(hold: RetainedHold): boolean;
  /** The lease is held under another key from now on, and does not give back the old one before this returns. */
  moved?(lease: Lease): void;
  /** The lease is over, by release or loss: it no longer needs to hear of its slots. */
  ended(lease: Lease): void;
}

type State = 'held' | 'releasing' | 'lost';

/** Of the ttl. What is left is enough for a renewal that has to be sent again and again. */
export const RENEW_AT = 1 / 3;
/** What was written together is not renewed together: a renewal comes later by up to this share. */
const RENEW_SPREAD = 0.2;
/** What was acquired together is not renewed together: the first renewal comes earlier by up to this share. */
const FIRST_SPREAD = 0.7;
const MARGIN_SHARE = 0.05;
const MIN_MARGIN_MS = 100;
/** Most holds are shorter; they need no timer of their own length, and nobody to listen for them. */
export const LASTING_MS = 100;
/** How long `release` waits for the server's answer. The release itself goes on until the lease has run out anyway. */
const RELEASE_WAIT_MS = 5_000;

/** For how long anything that was ever written to a slot may last in the store, in ms: its marker has to outlast that. */
export function lastsFor(
  { ttl, earlier = -Infinity }: Pick<HeldSlot, 'earlier' | 'ttl'>,
  now: number,
): number {
  return Math.max(ttl, earlier - now);
}

/** How long before the end of a lease its permit is declared lost, in ms. */
export function safetyMargin(ttl: number, configured: number | undefined): number {
  return configured ?? Math.max(MIN_MARGIN_MS, ttl * MARGIN_SHARE);
}

/** Until when a hold can be relied on that was last written at `sentAt`. */
export function leaseEnd({ safetyMargin: configured }: Context, sentAt: number, ttl: number): number {
  // Of a permit the margin is never more than half of the ttl. A ticket has a ttl of its own, which may be far shorter.
  return sentAt + ttl - Math.min(ttl / 2, safetyMargin(ttl, configured));
}

/**
 * A hold on one or more slots, from the claim to its end.
 *
 * Invariants:
 * - It counts as held only before its deadline: the time its last successful write was *sent*, plus the ttl, less the
 *   margin, by our own clock. The server began to count later, so it can not have let go before.
 * - From the moment a renewal with a shorter ttl is sent, the shorter one counts: it may be stored without our hearing of it.
 * - A renewal counts only if its answer came before that deadline. A later one may have been undone by the server
 *   already: its expiry marker is written without looking, over whatever is there.
 * - Every write names the revision of our last one: nothing of anybody else's is ever written over.
 * - The end, by release or loss, comes once, and leaves no timer behind.
 */
export class Lease {
  readonly turnSince: number;
  /** The permit that the entries of its slots name: until its own first write, that may be the one before. */
  writtenAs: string;
  private readonly firstRevision: number;
  /** Made when somebody asks for the signal: most holders never do. */
  private lossSignal: AbortController | undefined;
  private loss: PermitLostError | undefined;
  /** Aborted at the end: a renewal still without answer is then withdrawn instead of sent again. */
  private readonly over = new Abort();
  private state: State = 'held';
  private ttl: number;
  /** What to prolong it to. */
  private nextTtl: number;
  /** How long before the server ends it, in ms, where that is not what goes with its ttl. */
  private margin: number | undefined;
  private sentAt: number;
  /** The last write before that, if there was one. */
  private before: { readonly revision: number; readonly sentAt: number } | undefined;
  /** Earlier end that a renewal under way may have brought about. */
  private earlierEnd = Infinity;
  private slots: HeldSlot[];
  /** When to renew; undefined while a renewal is under way, or none is wanted. */
  private renewAt: number | undefined;
  private readonly watchers: LeaseWatcher[] = [];
  private cancelTimer: (() => void) | undefined;
  private renewing: Promise<void> | undefined;
  /** Why the last renewal did not prolong the hold. */
  private refusal: Error | undefined;

  constructor(
    private readonly context: Context,
    private readonly owner: LeaseOwner,
    private readonly terms: LeaseTerms,
  ) {
    this.slots = terms.slots;
    this.writtenAs = terms.over ?? terms.record.id;
    this.sentAt = terms.sentAt;
    this.ttl = terms.lasts ?? terms.ttl;
    this.nextTtl = terms.ttl;
    if (terms.lasts !== undefined) this.margin = safetyMargin(terms.ttl, context.safetyMargin);
    const now = context.clock.now();
    this.turnSince = terms.turnSince ?? now;
    this.firstRevision = terms.slots.reduce((highest, { revision }) => Math.max(highest, revision), 0);
    // What stands in the bucket is still the hold before this one, or a short one: if this one lasts it is to be written.
    if (terms.use !== undefined || terms.lasts !== undefined) this.renewAt = now;
    this.begin(now);
  }

  get id(): string {
    return this.terms.record.id;
  }

  get token(): bigint {
    return fencingToken(this.firstRevision, this.terms.use);
  }

  /** The highest revision of the claim. */
  get claimedAs(): number {
    return this.firstRevision;
  }

  get retain(): number {
    return this.terms.retain ?? 0;
  }

  get signal(): AbortSignal {
    this.lookAtClock();
    if (this.lossSignal === undefined) {
      this.lossSignal = new AbortController();
      if (this.loss !== undefined) this.lossSignal.abort(this.loss);
    }
    return this.lossSignal.signal;
  }

  /**
   * Reading of the clock before the last write of one slot was sent that somebody could know of who knew of `revision`, or one before
   * that if it was too long ago to tell; undefined if it was not a revision of ours.
   */
  sentAtOf(revision: number): number | undefined {
    if (revision >= (this.slots[0]?.revision ?? 0)) return this.sentAt;
    if (this.before !== undefined && revision >= this.before.revision) return this.before.sentAt;
    return revision >= this.firstRevision ? this.terms.sentAt : undefined;
  }

  get freeSince(): number | undefined {
    return this.terms.freeSince;
  }

  watch(watcher: LeaseWatcher): void {
    this.watchers.push(watcher);
  }

  get held(): readonly HeldSlot[] {
    return this.slots;
  }

  /** Its slots as entries, as of our last write. */
  get entries(): Entry[] {
    const writtenAt = this.context.clock.wallTime();
    return this.slots.map(({ key, revision, ttl }) => ({
      key,
      revision,
      value: this.valueOf(key, this.ttl),
      ttl,
      writtenAt,
    }));
  }

  get isHeld(): boolean {
    this.lookAtClock();
    return this.state === 'held';
  }

  /** Ms until the deadline; 0 once it is over. */
  get remaining(): number {
    return this.isHeld ? Math.max(0, this.deadline - this.context.clock.now()) : 0;
  }

  /**
   * Prolongs the hold to `ttl` from now.
   * @throws PermitLostError if it was lost, before or by this; what the store throws if it refuses a renewal for good
   */
  async renew(ttl?: number): Promise<void> {
    while (this.renewing !== undefined) await this.renewing;
    if (!this.isHeld) throw this.lossError();
    await this.startRenewal(ttl ?? this.nextTtl);
    if (!this.isHeld) throw this.lossError();
    if (this.refusal !== undefined) throw this.refusal;
  }

  /**
   * Gives back the slots, or `count` of them. Resolves with whether they were still held.
   * @throws BackendUnavailableError when the server does not answer; the slots are then freed as soon as it does, at the
   *   latest when their ttl ends.
   */
  async release(count = this.slots.length): Promise<boolean> {
    if (!this.isHeld) return false;
    if (count < this.slots.length) return this.releaseSome(count);
    if (this.keep()) return true;
    return this.inTime(this.finish('releasing'));
  }

  /** A key of ours changed: tells whether by somebody else. */
  observe(entry: Entry): void {
    // A late timer may not have ended it yet.
    this.lookAtClock();
    if (this.state !== 'held') return;
    const slot = this.slots.find(({ key }) => key === entry.key);
    if (slot === undefined || entry.revision <= slot.revision) return;
    // Our own renewal, announced before its answer came.
    if (entry.value !== null && this.terms.record.owns(entry.value)) return;
    this.lose(`slot ${slot.slot} was ${entry.value === null ? 'taken from it' : 'written by somebody else'}`);
  }

  /** Declares the hold lost and gives back what is left of it. */
  lose(reason: string, cause?: Error): void {
    if (this.state !== 'held') return;
    const { primitive } = this.terms;
    const message = `permit ${this.id} of "${primitive}" was lost: ${reason}`;
    this.loss = new PermitLostError(message, { primitive, cause });
    const { loss } = this;
    void this.finish('lost');
    this.lossSignal?.abort(loss);
    this.tell((watcher) => watcher.lost(loss));
  }

  /**
   * Goes on under another key, new and our own. That is written under the condition that the key held until now is still
   * ours; then the old one is given back: at no instant is neither held.
   * @throws PermitLostError; what the store throws if it refuses the write for good: it is then held as it was
   */
  async moveTo(key: string): Promise<void> {
    while (this.renewing !== undefined) await this.renewing;
    if (!this.isHeld) throw this.lossError();
    const old = this.slots;
    if (old.some((slot) => slot.key === key)) return;
    let refusal: Error | undefined;
    this.renewing = this.moveOnce(key)
      .catch((error: unknown) => {
        refusal = error as Error;
        if (this.isHeld) this.planRenewal();
        if (this.state === 'held') this.schedule();
      })
      .finally(() => (this.renewing = undefined));
    await this.renewing;
    if (!this.isHeld) throw this.lossError();
    if (refusal !== undefined) throw refusal;
    const freeing = this.free(old);
    this.context.background.add(freeing);
    // It is held under the new key already, whatever keeps the old one from being given back.
    await this.inTime(freeing).catch(() => undefined);
  }

  private async moveOnce(key: string): Promise<void> {
    const { background, store } = this.context;
    const { ttl } = this;
    const [{ slot, key: expectedOf, revision: expected }] = this.slots as [HeldSlot];
    const write = { key, expected, expectedOf, value: this.valueOf(key, ttl), ttl };
    const result = await store.commit([write], { abandon: this.over.signal });
    const now = result.committed ? { slot, key, revision: result.revisions[0] as number, ttl } : undefined;
    if (!this.isHeld) {
      if (now !== undefined) background.add(this.free([now]));
      return;
    }
    if (now === undefined || !result.committed) return this.lose(`slot ${slot} was taken from it`);
    this.slots = [now];
    this.sentAt = result.sentAt;
    this.owner.moved?.(this);
    this.planRenewal();
    this.schedule();
  }

  private valueOf(key: string, ttl: number, after?: string): string {
    return this.terms.record.encode(key, ttl, this.firstRevision, after);
  }

  /** When it ends unless it is renewed. */
  get deadline(): number {
    const end =
      this.margin === undefined ? this.endOf(this.sentAt, this.ttl) : this.sentAt + this.ttl - this.margin;
    return Math.min(end, this.earlierEnd);
  }

  /** For how long it stands in the server at least, in ms: longer than it counts for the holder. */
  get stands(): number {
    const end = this.earlierEnd === Infinity ? this.sentAt + this.ttl : this.deadline;
    return end - this.context.clock.now();
  }

  private endOf(sentAt: number, ttl: number): number {
    return leaseEnd(this.context, sentAt, ttl);
  }

  /** Timers may be late, above all after the process was stopped for a while: the clock decides, not they. */
  private lookAtClock(): void {
    if (this.state !== 'held' || this.context.clock.now() < this.deadline) return;
    this.lose(`its lease of ${this.ttl} ms ran out before a renewal was acknowledged`, this.trouble);
  }

  private lossError(): PermitLostError {
    if (this.loss !== undefined) return this.loss;
    const { primitive } = this.terms;
    return new PermitLostError(`permit ${this.id} of "${primitive}" was released`, { primitive });
  }

  /** Ends it. What others wait for comes first: the slots are given back before the books are closed. */
  private finish(state: 'releasing' | 'lost'): Promise<boolean> {
    this.state = state;
    this.over.abort();
    const first = state === 'releasing' ? this.owner.releasing?.() : undefined;
    const freeing = first === undefined ? this.letGo() : first.then(() => this.letGo());
    this.context.background.add(freeing);
    this.cancelTimer?.();
    if (state === 'releasing') this.tell((watcher) => watcher.released());
    return freeing;
  }

  private letGo(): Promise<boolean> {
    const freeing = (this.state === 'releasing' ? this.passOn() : undefined) ?? this.free(this.slots);
    this.owner.ended(this);
    return freeing;
  }

  private tell(what: (watcher: LeaseWatcher) => void): void {
    for (const watcher of this.watchers) what(watcher);
  }

  private begin(now: number): void {
    const { clock } = this.context;
    this.cancelTimer = clock.after(Math.max(1, Math.min(LASTING_MS, this.deadline - now)), () => {
      if (!this.isHeld) return;
      this.owner.lasts?.(this);
      if (this.state !== 'held') return;
      if (this.renewAt === undefined && this.renewing === undefined)
        this.planRenewal(1 - FIRST_SPREAD, 1, this.sentAt);
      this.schedule();
    });
  }

  /** One timer for whatever comes first, the next renewal or the deadline. */
  private schedule(): void {
    const { clock } = this.context;
    this.cancelTimer?.();
    const next = Math.min(this.deadline, this.renewAt ?? Infinity);
    const left = next - clock.now();
    const look = (): void => {
      if (!this.isHeld) return;
      if (clock.now() >= (this.renewAt ?? Infinity) - PULSE_MS) {
        this.renewAt = undefined;
        if (this.renewing === undefined) this.context.background.add(this.startRenewal(this.nextTtl));
      }
      this.schedule();
    };
    // The end of a lease is to be seen when it comes, a renewal may as well go out with others.
    this.cancelTimer =
      left > PULSE_MS ? this.context.pulse.at(next, look) : clock.after(Math.max(1, left), look);
  }

  /** @param from of the usual time from `since` to the next renewal: the earliest, and the latest */
  private planRenewal(from = 1, to = 1 + RENEW_SPREAD, since = this.context.clock.now()): void {
    const usual = this.ttl * (this.terms.renewShare ?? RENEW_AT);
    this.renewAt = this.terms.autoRenew
      ? this.context.pulse.quietest(since + usual * from, since + usual * to)
      : undefined;
  }

  private startRenewal(ttl: number): Promise<void> {
    const renewal = this.renewOnce(ttl).finally(() => {
      this.renewing = undefined;
    });
    this.renewing = renewal;
    return renewal;
  }

  /** Writes every slot again. Each is withdrawn rather than repeated once the lease is over. */
  private async renewOnce(ttl: number): Promise<void> {
    const abandon = this.over.signal;
    const { slots, writtenAs } = this;
    const after = writtenAs === this.id ? undefined : writtenAs;
    const end = this.endOf(this.context.clock.now(), ttl);
    if (end < this.deadline) {
      this.earlierEnd = end;
      this.schedule();
    }
    const { clock, store } = this.context;
    const begunAt = clock.now();
    const results = await Promise.allSettled(
      slots.map((slot) => {
        const { key, revision: expected } = slot;
        const write = { key, expected, value: this.valueOf(key, ttl, after), ttl };
        return store.commit([{ ...write, replaces: lastsFor(slot, begunAt) }], { abandon, urgent: true });
      }),
    );
    const before = { revision: this.slots[0]?.revision ?? 0, sentAt: this.sentAt };
    let sentAt = Infinity;
    let failure: string | undefined;
    this.refusal = undefined;
    for (const [i, settled] of results.entries()) {
      const slot = slots[i] as HeldSlot;
      if (settled.status === 'rejected') {
        this.refusal ??= settled.reason as Error;
        slot.ttl = Math.max(slot.ttl, ttl);
      } else if (settled.value.committed) {
        slot.revision = settled.value.revisions[0] as number;
        // What a shorter one replaces would outlast its marker.
        if (ttl < slot.ttl) slot.earlier = begunAt + lastsFor(slot, begunAt);
        slot.ttl = ttl;
        this.writtenAs = this.id;
        sentAt = Math.min(sentAt, settled.value.sentAt);
      } else {
        failure ??= `slot ${slot.slot} was taken from it`;
        slot.withdrawn = settled.value.withdrawn === 'superseded';
      }
    }
    if (!this.isHeld) return;
    if (failure !== undefined) return this.lose(failure);
    if (this.refusal === undefined) {
      this.ttl = this.nextTtl = ttl;
      this.margin = undefined;
      this.before = before;
      this.sentAt = sentAt;
      this.earlierEnd = Infinity;
    }
    const acknowledged = this.refusal === undefined;
    this.tell((watcher) => watcher.renewed(acknowledged));
    // Also after a refusal: the hold is good until its deadline; until then a later try may succeed.
    this.planRenewal();
    this.schedule();
  }

  private async releaseSome(count: number): Promise<boolean> {
    while (this.renewing !== undefined) await this.renewing;
    if (!this.isHeld) return false;
    // Another partial release may have come first.
    if (count >= this.slots.length) return this.release();
    // The slots with the highest revisions come last: as long as any is held, the token is the same for all who look.
    const given = this.slots.slice(0, count);
    this.slots = this.slots.slice(count);
    const freeing = this.free(given);
    this.context.background.add(freeing);
    this.tell((watcher) => watcher.gaveBack(count));
    return this.inTime(freeing);
  }

  /** Hands the slot to whoever keeps it for the next. Only what is at rest: every write of ours has been answered. */
  private keep(): boolean {
    const [slot] = this.slots;
    const { use = 0, retain = 0 } = this.terms;
    if (retain === 0 || slot === undefined || this.slots.length > 1) return false;
    if (this.renewing !== undefined || this.refusal !== undefined || this.earlierEnd !== Infinity)
      return false;
    const { deadline, sentAt, ttl, turnSince, writtenAs: permit } = this;
    const { earlier, key, revision } = slot;
    const uses = revision === this.firstRevision ? use : 0;
    const entry = { slot: slot.slot, key, revision, permit, sentAt, ttl, earlier };
    const hold = { ...entry, deadline, uses, retain, turnSince };
    if (this.owner.keep?.(hold) !== true) return false;
    this.state = 'releasing';
    this.over.abort();
    this.cancelTimer?.();
    this.owner.ended(this);
    this.tell((watcher) => watcher.released());
    return true;
  }

  /** Only what is at rest: while a renewal is under way nobody knows which revision to write over. */
  private passOn(): Promise<boolean> | undefined {
    const [slot] = this.slots;
    if (slot === undefined || this.slots.length > 1 || this.renewing !== undefined) return undefined;
    return this.owner.passOn?.(this, slot);
  }

  /**
   * Removes our entries from `slots`, each under the revision of our last write. What has been changed by somebody else
   * is theirs. Resolves with whether all were still ours.
   */
  private async free(slots: readonly HeldSlot[]): Promise<boolean> {
    // A renewal under way knows the revision to expect only when it is settled; the end of the lease has withdrawn it.
    if (this.renewing !== undefined) await this.renewing.catch(() => undefined);
    const now = this.context.clock.now();
    const held = slots.filter(({ withdrawn }) => withdrawn !== true);
    // The server lets go by itself when the ttl has passed since the last write, at the latest: that may have been a renewal for longer,
    // answered after the lease was over.
    const until = now + Math.max(this.ttl, ...held.map(({ ttl }) => ttl)) + MIN_MARGIN_MS;
    const ours = held.map((slot) => ({
      key: slot.key,
      revision: slot.revision,
      ttl: lastsFor(slot, now),
      value: null,
    }));
    const { freed, all, failure } = await removeEntries(this.context.store, ours, until);
    if (freed.length > 0) this.owner.freed(freed);
    if (failure !== undefined) throw failure;
    return all;
  }

  private inTime(freeing: Promise<boolean>): Promise<boolean> {
    const { clock, store } = this.context;
    return new Promise((resolve, reject) => {
      let cancel: () => void;
      const wait = (): void => {
        cancel = atDeadline(clock, RELEASE_WAIT_MS, late, { keepAlive: true });
      };
      // It may not even have been sent yet. It is not waited for longer than the hold lasts in any case.
      const late = (): void => (store.isCongested() ? wait() : reject(this.unacknowledged()));
      wait();
      void freeing.then(resolve, reject).then(() => cancel());
    });
  }

  /** What keeps the store from answering, or from taking writes. */
  private get trouble(): Error | undefined {
    const { store } = this.context;
    return store.refusal() ?? store.trouble();
  }

  private unacknowledged(): BackendUnavailableError {
    return new BackendUnavailableError(
      `the release of permit ${this.id} was not acknowledged within ${RELEASE_WAIT_MS} ms; ` +
        `it goes on, and the server frees the slot by itself when the ttl of ${this.ttl} ms ends`,
      { primitive: this.terms.primitive, cause: this.trouble },
    );
  }
}
