import { BackendUnavailableError, PermitLostError } from '../errors';
import type { Entry } from '../store/store';
import { Abort } from '../runtime/cancellation';
import { atDeadline } from '../runtime/clock';
import type { Context } from '../store/context';
import { PULSE_MS } from '../runtime/batched-timers';
import { type Removed, lastsFor, removeEntries } from '../store/remove-entries';
import { fencingToken } from '../protocol/fencing-token';
import type { LeaseRecord } from '../protocol/permit-record';

/** One slot that a lease holds. */
export interface HeldSlot {
  readonly slot: number;
  readonly key: string;
  /** Revision of our last write to it. */
  revision: number;
  /** The ttl of that write, in ms. The store keeps the entry for so long after the write. */
  ttl: number;
  /** Reading of the clock by which all earlier writes to the slot have run out. Undefined: none of them outlasts the last write. */
  earlier?: number | undefined;
  /** True if a renewal was withdrawn. The marker that withdrew it has removed the entry. */
  withdrawn?: boolean;
}

/** A write over the slot of a lease that has just ended. By it another permit of this process takes the slot over. */
export interface Succession {
  /** The permit that held the slot. */
  readonly permit: string;
  /** End of the lease that held the slot. An answer that comes later does not count. */
  readonly deadline: number;
  /** Called when the write is answered. @param ours whether the lease held the slot until then */
  answered(ours: boolean): void;
  failed(error: Error): void;
}

export interface LeaseTerms {
  readonly primitive: string;
  readonly record: LeaseRecord;
  readonly ttl: number;
  /**
   * How long the lease lasts before the first renewal, in ms, where that is not its ttl. The safety margin is that of the ttl. The
   * lease is renewed soon, also without `autoRenew`.
   */
  readonly lasts?: number;
  readonly slots: HeldSlot[];
  /** Reading of the clock before the claim was sent. */
  readonly sentAt: number;
  /** Reading of the clock when this process took the slot from the store, not from a permit of its own. Default: now. */
  readonly turnSince?: number | undefined;
  /** Reading of the clock when this process learned that the slots were free. */
  readonly freeSince?: number | undefined;
  readonly autoRenew: boolean;
  /** When to renew the lease, as a share of its ttl. Default: {@link RENEW_AT}. */
  readonly renewShare?: number;
  /** How long this process retains the slot after a release, in ms. Default: not at all. */
  readonly retain?: number;
  /** Number of this grant under the revision of a retained slot. Nothing was written for it. Default: the slot was claimed. */
  readonly use?: number;
  /** The permit that the slot's entry names, if it is another one. */
  readonly over?: string;
}

/** A hold on one slot that its holder has just released, as it stands in the store. */
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
  /** Reading of the clock until which the hold is safe to use. */
  readonly deadline: number;
  /** Number of grants under its revision, besides the one that wrote it. */
  readonly uses: number;
  /** How long to retain the slot, in ms. */
  readonly retain: number;
  /** Reading of the clock when this process took the slot from the store. */
  readonly turnSince: number;
}

/** Receives the events of a lease. */
export interface LeaseWatcher {
  /** A renewal has ended. @param acknowledged whether the server stored it */
  renewed(acknowledged: boolean): void;
  /** Some of the slots were released. */
  gaveBack(count: number): void;
  released(): void;
  lost(error: PermitLostError): void;
}

/** The owner of a lease: it keeps the books, and decides what becomes of the slots. */
export interface LeaseOwner {
  /** The slots are empty: our own writes, with the given revisions, removed the entries. */
  freed(slots: readonly Removed[]): void;
  /** The lease has lasted for {@link LASTING_MS}: from now on it is worth watching its slots. */
  lasts?(lease: Lease): void;
  /** The lease is about to be released. @returns what to wait for before the next holder is decided, if anything */
  releasing?(): Promise<void> | undefined;
  /**
   * The lease is being released: hands its slot off, with one write instead of a removal and a claim, to a waiter of this process
   * or of another one. @returns whether the lease still held the slot; undefined if there is no hand-off
   */
  passOn?(lease: Lease, slot: HeldSlot): Promise<boolean> | undefined;
  /** The lease is being released. @returns whether its slot is retained for the next waiter of this process, and not given back */
  keep?(hold: RetainedHold): boolean;
  /** The lease is held under another key from now on. It gives the old key back only after this returns. */
  moved?(lease: Lease): void;
  /** The lease is over, by release or loss: it needs no more news of its slots. */
  ended(lease: Lease): void;
}

type State = 'held' | 'releasing' | 'lost';

/** When to renew, as a share of the ttl. The rest of the ttl is enough for a renewal that has to be sent many times. */
export const RENEW_AT = 1 / 3;
/** A renewal comes later by up to this share, so that leases written together are not renewed together. */
const RENEW_SPREAD = 0.2;
/** The first renewal comes earlier by up to this share, so that leases acquired together are not renewed together. */
const FIRST_SPREAD = 0.7;
const MARGIN_SHARE = 0.05;
const MIN_MARGIN_MS = 100;
/** Most holds are shorter, in ms. They need neither a timer of their own length nor a watcher. */
export const LASTING_MS = 100;
/** How long `release` waits for the server's answer, in ms. The release itself goes on until the lease has run out. */
const RELEASE_WAIT_MS = 5_000;

/** How long before the end of a lease its permit is declared lost, in ms. */
export function safetyMargin(ttl: number, configured: number | undefined): number {
  return configured ?? Math.max(MIN_MARGIN_MS, ttl * MARGIN_SHARE);
}

/** Reading of the clock until which a hold is safe to use that was last written at `sentAt`. */
export function leaseEnd({ safetyMargin: configured }: Context, sentAt: number, ttl: number): number {
  // The margin of a permit is never more than half of the ttl. A ticket has a ttl of its own, which may be far shorter.
  return sentAt + ttl - Math.min(ttl / 2, safetyMargin(ttl, configured));
}

/**
 * A hold on one or more slots, from the claim to its end.
 *
 * Invariants:
 * - The lease counts as held only before its deadline: the time its last successful write was *sent*, plus the ttl, less the
 *   margin, by our own clock. The server begins to count later, so it does not expire the entry before that.
 * - From the moment a renewal with a shorter ttl is sent, the shorter ttl counts: the server may store it and the answer be lost.
 * - A renewal counts only if its answer comes before that deadline. The server may have undone a later one already: it
 *   writes its expiry marker over any entry, without a check.
 * - Every write names the revision of our last one, so it never overwrites an entry of another client.
 * - The lease ends once, by release or loss, and leaves no timer behind.
 */
export class Lease {
  readonly turnSince: number;
  /** The permit that the entries of its slots name. Until the lease's own first write, that may be the permit before it. */
  writtenAs: string;
  private readonly firstRevision: number;
  /** Created when the holder asks for the signal: most holders never do. */
  private lossSignal: AbortController | undefined;
  private loss: PermitLostError | undefined;
  /** Aborted when the lease ends. A renewal without an answer is then withdrawn, not sent again. */
  private readonly over = new Abort();
  private state: State = 'held';
  private ttl: number;
  /** The ttl of the next renewal, in ms. */
  private nextTtl: number;
  /** The safety margin, in ms, where it is not that of the ttl. */
  private margin: number | undefined;
  private sentAt: number;
  /** The last write before the one at `sentAt`, if there was one. */
  private before: { readonly revision: number; readonly sentAt: number } | undefined;
  /** Earlier end that a pending renewal may have caused. */
  private earlierEnd = Infinity;
  private slots: HeldSlot[];
  /** When to renew; undefined while a renewal is pending, or if none is wanted. */
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
    // The bucket still shows the hold before this one, or a short one. If this one lasts, it must be written.
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
   * Reading of the clock before a write of the slot was sent: the last write that a client knows of which has seen `revision`. If
   * that is too long ago to tell, the reading is an earlier one. Undefined if the revision is not ours.
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

  /** The slots as entries, as of our last write. */
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
   * Prolongs the hold to `ttl` ms from now.
   * @throws PermitLostError if the permit was lost, before or by this call; what the store throws if it refuses a renewal for good
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
   * @throws BackendUnavailableError if the server does not answer. The slots are then freed as soon as it does, and at the
   *   latest when their ttl ends.
   */
  async release(count = this.slots.length): Promise<boolean> {
    if (!this.isHeld) return false;
    if (count < this.slots.length) return this.releaseSome(count);
    if (this.keep()) return true;
    return this.inTime(this.finish('releasing'));
  }

  /** Takes in a change of one of our keys. If another client made the change, the lease is lost. */
  observe(entry: Entry): void {
    // The deadline may have passed while the timer is late.
    this.lookAtClock();
    if (this.state !== 'held') return;
    const slot = this.slots.find(({ key }) => key === entry.key);
    if (slot === undefined || entry.revision <= slot.revision) return;
    // Our own renewal may be announced before its answer comes.
    if (entry.value !== null && this.terms.record.owns(entry.value)) return;
    this.lose(`slot ${slot.slot} was ${entry.value === null ? 'taken from it' : 'written by somebody else'}`);
  }

  /** Declares the hold lost and gives back the slots that are left. */
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
   * Moves the lease to another key, which is new and our own. The new key is written only if the old one is still ours; then the
   * old one is given back. So at every instant at least one of the two is held.
   * @throws PermitLostError; what the store throws if it refuses the write for good: the lease is then held as before
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
    // The lease is already held under the new key, even if the old one can not be given back.
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

  /** Reading of the clock at which the lease ends unless it is renewed. */
  get deadline(): number {
    const end =
      this.margin === undefined ? this.endOf(this.sentAt, this.ttl) : this.sentAt + this.ttl - this.margin;
    return Math.min(end, this.earlierEnd);
  }

  /** How long the server keeps the entry at least, in ms: longer than the lease counts for the holder. */
  get stands(): number {
    const end = this.earlierEnd === Infinity ? this.sentAt + this.ttl : this.deadline;
    return end - this.context.clock.now();
  }

  private endOf(sentAt: number, ttl: number): number {
    return leaseEnd(this.context, sentAt, ttl);
  }

  /** Ends the lease once the clock has passed its deadline. Timers may be late, above all after the process was stopped for a while. */
  private lookAtClock(): void {
    if (this.state !== 'held' || this.context.clock.now() < this.deadline) return;
    this.lose(`its lease of ${this.ttl} ms ran out before a renewal was acknowledged`, this.trouble);
  }

  private lossError(): PermitLostError {
    if (this.loss !== undefined) return this.loss;
    const { primitive } = this.terms;
    return new PermitLostError(`permit ${this.id} of "${primitive}" was released`, { primitive });
  }

  /** Ends the lease. The slots are given back before the books are closed, since waiters wait for the slots. */
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

  /** Sets one timer, for the next renewal or the deadline, whichever comes first. */
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
    // The end of a lease must be noticed on time. A renewal may leave together with others.
    this.cancelTimer =
      left > PULSE_MS ? this.context.pulse.at(next, look) : clock.after(Math.max(1, left), look);
  }

  /** @param from the earliest time, and `to` the latest, as shares of the usual time from `since` to the next renewal */
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

  /** Writes every slot again. Once the lease is over, a pending write is withdrawn, not repeated. */
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
        // The longer entry that a shorter one replaces would outlast the shorter one's marker.
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
    // Also after a refusal: the hold is good until its deadline, and a later attempt may succeed.
    this.planRenewal();
    this.schedule();
  }

  private async releaseSome(count: number): Promise<boolean> {
    while (this.renewing !== undefined) await this.renewing;
    if (!this.isHeld) return false;
    // Another partial release may have come first.
    if (count >= this.slots.length) return this.release();
    // The slots with the highest revisions come last: while any slot is held, every reader sees the same token.
    const given = this.slots.slice(0, count);
    this.slots = this.slots.slice(count);
    const freeing = this.free(given);
    this.context.background.add(freeing);
    this.tell((watcher) => watcher.gaveBack(count));
    return this.inTime(freeing);
  }

  /** Lets the owner retain the slot for the next waiter, if every write of ours has been answered. Returns whether it does. */
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

  /** Lets the owner hand the slot off. Not while a renewal is pending: the revision to write over is then unknown. */
  private passOn(): Promise<boolean> | undefined {
    const [slot] = this.slots;
    if (slot === undefined || this.slots.length > 1 || this.renewing !== undefined) return undefined;
    return this.owner.passOn?.(this, slot);
  }

  /**
   * Removes our entries from `slots`, each under the revision of our last write. An entry that another client has changed
   * stays. Resolves with whether all were still ours.
   */
  private async free(slots: readonly HeldSlot[]): Promise<boolean> {
    // The revision to expect is known only once a pending renewal has settled. The end of the lease has withdrawn it.
    if (this.renewing !== undefined) await this.renewing.catch(() => undefined);
    const now = this.context.clock.now();
    const held = slots.filter(({ withdrawn }) => withdrawn !== true);
    // The server frees the slot by itself at the latest when the ttl of the last write ends. That write may be a renewal with a longer
    // ttl, answered after the lease was over.
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
      // If the store is congested, the removal may not have been sent yet. The wait never outlasts the hold.
      const late = (): void => (store.isCongested() ? wait() : reject(this.unacknowledged()));
      wait();
      void freeing.then(resolve, reject).then(() => cancel());
    });
  }

  /** Why the store does not answer, or takes no writes. */
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
