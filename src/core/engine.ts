import {
  AcquireTimeoutError,
  BackendUnavailableError,
  CorruptEntryError,
  DispatcherClosedError,
} from '../errors';
import type { CommitResult, Entry } from '../store/store';
import { isoTime } from './clock';
import type { Context } from './context';
import { Feed } from './feed';
import { newId } from './id';
import type { Keys } from './keys';
import { Lease, type LeaseOwner } from './lease';
import { Picture } from './picture';
import { type FreeSlot, type SlotState, planClaims, readSlots } from './plan';
import { type Hold, encodeHold } from './record';

/** What an acquire asks for. */
export interface Want {
  readonly count: number;
  readonly ttl: number;
  readonly autoRenew: boolean;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

export interface Patience {
  /** Ms to wait; 0: take what is free, do not wait; undefined: wait for ever. */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface Waiter {
  readonly want: Want;
  /** Waiters of the same shape would write the same: a claim made for one serves another. */
  readonly shape: string;
  readonly joinedAt: number;
  readonly immediate: boolean;
  settle(outcome: Lease | Error): void;
}

interface Claim {
  readonly shape: string;
  readonly slots: readonly FreeSlot[];
  readonly abandon: AbortController;
}

/** An acquire that does not wait still gives the server this long to answer. */
const ANSWER_WITHIN_MS = 2_000;
/** A hold that lasts longer than this listens for what others do to its slots. */
const LISTEN_AFTER_MS = 100;
/** How many free slots to remember between uses. */
const REMEMBERED_SLOTS = 16;

/**
 * The one algorithm: everything that this process does to the slots of one primitive.
 *
 * A slot is claimed by a write that expects it free, at the revision last known of it; the store lets one of several
 * win. What is known comes from own writes, or, while somebody waits or holds for long, from a {@link Feed}. Knowledge
 * that is out of date costs a refused write, never a second holder.
 *
 * Waiters of this process queue here: they share one feed, get slots in the order in which they joined, and only as many
 * claims are under way as slots look free.
 */
export class Engine implements LeaseOwner {
  private readonly picture = new Picture();
  private readonly feed: Feed;
  private readonly queue: Waiter[] = [];
  private readonly claims = new Set<Claim>();
  /** Permits in force, each with how to stop listening on its behalf. */
  private readonly leases = new Map<Lease, () => void>();
  private readonly leaseOfKey = new Map<string, Lease>();
  /** Slots of which a refused claim showed that the picture is behind; not tried again until it has caught up. */
  private readonly outdated = new Map<string, number>();
  private listeningLeases = 0;
  private lastAnswerAt = -Infinity;
  private generation = 0;
  private closed = false;

  constructor(
    private readonly context: Context,
    readonly name: string,
    private readonly keys: Keys,
    readonly limit: number,
  ) {
    this.feed = new Feed(context.store, context.clock, this.picture, keys.all(), this, context.counts);
  }

  /** Whether nobody waits, holds or claims here, so that it can be forgotten. */
  get idle(): boolean {
    return this.queue.length === 0 && this.claims.size === 0 && this.leases.size === 0;
  }

  /**
   * Waits for a permit.
   * @throws AcquireTimeoutError, BackendUnavailableError, CorruptEntryError, DispatcherClosedError, the signal's reason,
   *   and what opening the store throws
   */
  acquire(want: Want, patience: Patience): Promise<Lease> {
    return new Promise((resolve, reject) => {
      const { signal, timeout } = patience;
      const { context } = this;
      const { clock } = context;
      const immediate = timeout === 0;
      const onAbort = (): void => waiter.settle(signal?.reason as Error);
      let cancelTimer: (() => void) | undefined;
      const waiter: Waiter = {
        want,
        shape: JSON.stringify([want.count, want.ttl, want.autoRenew, want.metadata]),
        joinedAt: clock.now(),
        immediate,
        settle: (outcome) => {
          const place = this.queue.indexOf(waiter);
          if (place < 0) return;
          this.queue.splice(place, 1);
          cancelTimer?.();
          signal?.removeEventListener('abort', onAbort);
          if (outcome instanceof Lease) resolve(outcome);
          else reject(outcome);
          this.abandonSpareClaims();
        },
      };
      if (this.closed) return reject(this.closedError());
      if (signal?.aborted === true) return reject(signal.reason as Error);
      const trouble = immediate ? context.store.trouble() : undefined;
      if (trouble !== undefined) return reject(this.unavailable(0, trouble));
      this.queue.push(waiter);
      signal?.addEventListener('abort', onAbort, { once: true });
      const patienceMs = immediate ? ANSWER_WITHIN_MS : timeout;
      if (patienceMs !== undefined && patienceMs !== Infinity) {
        const onTimeout = (): void => {
          // A timer counts at most so far ahead, and may be early by a fraction of a millisecond.
          const left = waiter.joinedAt + patienceMs - clock.now();
          if (left > 0) cancelTimer = clock.after(left, onTimeout, { keepAlive: true });
          else this.giveUp(waiter, patienceMs);
        };
        cancelTimer = clock.after(patienceMs, onTimeout, { keepAlive: true });
      }
      this.pump();
    });
  }

  /** What the entries say of the slots at this moment. */
  async look(): Promise<SlotState[]> {
    if (!this.feed.live) {
      const { clock, store } = this.context;
      const askedAt = clock.now();
      const entries = await store.read(this.keys.all());
      const seen = new Picture();
      for (const entry of entries) seen.apply(entry, askedAt);
      return readSlots(seen, this.keys, this.limit, clock.now());
    }
    return readSlots(this.picture, this.keys, this.limit, this.context.clock.now());
  }

  /** The store lost all entries at once. */
  reset(): void {
    this.generation++;
    this.picture.clear();
    this.outdated.clear();
    for (const lease of [...this.leases.keys()]) lease.lose('the bucket was deleted or replaced');
  }

  /** Refuses all who wait and releases all that is held. */
  async close(): Promise<void> {
    this.closed = true;
    for (const waiter of [...this.queue]) waiter.settle(this.closedError());
    await Promise.allSettled([...this.leases.keys()].map((lease) => lease.release()));
    this.feed.stop();
  }

  // ---- of the feed

  changed(entry?: Entry): void {
    this.lastAnswerAt = this.context.clock.now();
    if (entry !== undefined) {
      this.inform(entry.key, entry);
    } else {
      // Everything was read: whatever a refused claim had shown us to miss is in the picture now.
      this.outdated.clear();
      for (const key of [...this.leaseOfKey.keys()]) this.inform(key, this.picture.get(key));
    }
    this.pump();
  }

  failed(error: Error): void {
    for (const waiter of [...this.queue]) waiter.settle(error);
    this.feed.stop();
  }

  // ---- of leases

  freed(slots: readonly { key: string; revision: number }[]): void {
    const { clock } = this.context;
    for (const { key, revision } of slots) {
      this.picture.apply({ key, revision, value: null, writtenAt: clock.wallTime() }, clock.now());
    }
    this.pump();
  }

  ended(lease: Lease): void {
    const stopListening = this.leases.get(lease);
    if (stopListening === undefined) return;
    this.leases.delete(lease);
    for (const { key } of lease.held) {
      if (this.leaseOfKey.get(key) === lease) this.leaseOfKey.delete(key);
    }
    stopListening();
    this.rest();
  }

  // ---- the loop

  /** Looks at who waits and what is free, and sends the claims that follow from it. Cheap if there are none. */
  private pump(): void {
    const head = this.queue[0];
    if (head === undefined) return this.rest();
    this.feed.watch(true);
    const { live, running } = this.feed;
    // While everything is being read again, what we knew is most likely wrong.
    if (running && !live) return;
    const free = live ? this.freeSlots() : this.rememberedSlots();
    const wants = this.unclaimedPrefix(head.shape, free.length);
    const plans = planClaims(free, wants);
    for (const slots of plans) void this.claim(head, slots);
    if (live) this.settleHopeless();
    else if (plans.length < wants.length || this.claims.size === 0) this.feed.start();
  }

  /** Waiters at the front that are alike, `most` at most, less one for each claim already under way for them. */
  private unclaimedPrefix(shape: string, most: number): Want[] {
    let underway = 0;
    for (const claim of this.claims) if (claim.shape === shape) underway++;
    const wants: Want[] = [];
    for (const waiter of this.queue) {
      if (waiter.shape !== shape || wants.length > most) break;
      if (underway-- <= 0) wants.push(waiter.want);
    }
    return wants;
  }

  private freeSlots(): FreeSlot[] {
    const slots = readSlots(this.picture, this.keys, this.limit, this.context.clock.now());
    const free = slots.filter((slot) => slot.state === 'free');
    // Start somewhere: processes that see the same free slots should not all try the same one.
    const start = Math.floor(Math.random() * free.length);
    return this.usable([...free.slice(start), ...free.slice(0, start)]);
  }

  /** While nobody tells us of changes: the slots that we were the last to use, as far as we know. */
  private rememberedSlots(): FreeSlot[] {
    const now = this.context.clock.now();
    const remembered: FreeSlot[] = [];
    for (const { key, value } of this.picture.entries()) {
      const slot = this.keys.slotOf(key);
      if (slot === undefined || value !== null || slot >= this.limit) continue;
      remembered.push({ slot, expected: this.picture.expectedIfFree(key, now) });
    }
    return this.usable(remembered.reverse());
  }

  private usable(slots: readonly FreeSlot[]): FreeSlot[] {
    const busy = new Set<number>();
    for (const claim of this.claims) for (const { slot } of claim.slots) busy.add(slot);
    return slots.filter(({ slot }) => !busy.has(slot) && !this.isOutdated(this.keys.slot(slot)));
  }

  private isOutdated(key: string): boolean {
    const atLeast = this.outdated.get(key);
    if (atLeast === undefined) return false;
    if ((this.picture.get(key)?.revision ?? 0) < atLeast) return true;
    this.outdated.delete(key);
    return false;
  }

  private async claim(waiter: Waiter, slots: readonly FreeSlot[]): Promise<void> {
    const { context, keys } = this;
    const { ttl, autoRenew, metadata } = waiter.want;
    const hold: Hold = {
      permit: newId(),
      holder: context.holder,
      since: isoTime(context.clock.wallTime()),
      ttl,
      ...(metadata === undefined ? {} : { meta: metadata }),
    };
    const value = encodeHold(hold);
    const claim: Claim = { shape: waiter.shape, slots, abandon: new AbortController() };
    this.claims.add(claim);
    const { generation } = this;
    const writes = slots.map(({ slot, expected }) => ({ key: keys.slot(slot), expected, value, ttl }));
    const committing = context.store.commit(writes, { abandon: claim.abandon.signal });
    context.background.add(committing);
    let result: CommitResult;
    try {
      result = await committing;
    } catch (error) {
      this.claims.delete(claim);
      this.firstOf(claim.shape)?.settle(error as Error);
      return this.pump();
    }
    this.claims.delete(claim);
    this.lastAnswerAt = context.clock.now();
    if (!result.committed) {
      this.learnFromRefusal(claim, result.actual);
      return this.pump();
    }
    const { revisions, sentAt } = result;
    for (const [i, { key }] of writes.entries()) {
      const entry = { key, revision: revisions[i] as number, value, writtenAt: context.clock.wallTime() };
      this.picture.apply(entry, context.clock.now());
    }
    const held = slots.map(({ slot }, i) => ({
      slot,
      key: keys.slot(slot),
      revision: revisions[i] as number,
    }));
    const lease = new Lease(context, this, { primitive: this.name, hold, slots: held, sentAt, autoRenew });
    this.leases.set(lease, this.listenFor(lease));
    for (const { key } of held) this.leaseOfKey.set(key, lease);
    if (generation !== this.generation) lease.lose('the bucket was deleted or replaced');
    const taker = this.firstOf(claim.shape);
    if (taker === undefined) context.background.add(lease.release());
    else if (lease.isHeld) taker.settle(lease);
    this.pump();
  }

  private learnFromRefusal(claim: Claim, actual: number | undefined): void {
    const [only] = claim.slots;
    if (claim.slots.length > 1 || only === undefined || actual === undefined) {
      // Which of several it was is not said, and a marker that went away is never announced.
      if (this.feed.running) this.feed.refresh();
      else this.feed.start();
      return;
    }
    const key = this.keys.slot(only.slot);
    if (this.picture.learnRevision(key, actual, this.context.clock.now())) return;
    if ((this.picture.get(key)?.revision ?? 0) < actual) this.outdated.set(key, actual);
  }

  /** Ends waiters that will not wait, and those for whom waiting is no use. */
  private settleHopeless(): void {
    const slots = readSlots(this.picture, this.keys, this.limit, this.context.clock.now());
    const corrupt = slots.find((slot) => slot.state === 'corrupt');
    const readable = slots.filter((slot) => slot.state !== 'corrupt').length;
    const underway = new Map<string, number>();
    for (const { shape } of this.claims) underway.set(shape, (underway.get(shape) ?? 0) + 1);
    for (const waiter of [...this.queue]) {
      const claims = underway.get(waiter.shape) ?? 0;
      underway.set(waiter.shape, claims - 1);
      if (corrupt?.state === 'corrupt' && readable < waiter.want.count) {
        waiter.settle(this.corruptError(corrupt.key, corrupt.reason));
      } else if (waiter.immediate && claims <= 0) {
        waiter.settle(
          new AcquireTimeoutError(`no permit of "${this.name}" is free`, { primitive: this.name }),
        );
      }
    }
  }

  private giveUp(waiter: Waiter, patienceMs: number): void {
    const trouble = this.context.store.trouble();
    const heardNothing = !this.feed.live && this.lastAnswerAt < waiter.joinedAt;
    if (trouble !== undefined || heardNothing) {
      return waiter.settle(this.unavailable(patienceMs, trouble));
    }
    waiter.settle(
      new AcquireTimeoutError(`no permit of "${this.name}" became free within ${patienceMs} ms`, {
        primitive: this.name,
      }),
    );
  }

  private firstOf(shape: string): Waiter | undefined {
    return this.queue.find((waiter) => waiter.shape === shape);
  }

  /** Gives up claims that nobody waits for any more. Those that succeed all the same are released. */
  private abandonSpareClaims(): void {
    const wanted = new Map<string, number>();
    for (const { shape } of this.queue) wanted.set(shape, (wanted.get(shape) ?? 0) + 1);
    for (const claim of this.claims) {
      const left = wanted.get(claim.shape) ?? 0;
      if (left === 0) claim.abandon.abort();
      wanted.set(claim.shape, Math.max(0, left - 1));
    }
  }

  /** A hold that goes on for a while listens for its slots being taken away. Returns how to stop that. */
  private listenFor(lease: Lease): () => void {
    let listening = false;
    const { clock } = this.context;
    const listen = (): void => {
      listening = true;
      this.listeningLeases++;
      for (const entry of lease.entries) this.picture.apply(entry, clock.now());
      this.feed.start();
    };
    const cancel = this.feed.running ? listen() : clock.after(LISTEN_AFTER_MS, listen);
    return () => {
      cancel?.();
      if (listening) this.listeningLeases--;
    };
  }

  /** Tells the lease concerned what was heard of one of its slots; undefined: that nothing is there. */
  private inform(key: string, entry: Entry | undefined): void {
    const lease = this.leaseOfKey.get(key);
    if (entry === undefined) lease?.lose('its entry is gone from the bucket');
    else lease?.observe(entry);
  }

  /** Lets go of what is only needed while somebody waits or listens. */
  private rest(): void {
    if (this.queue.length > 0) return;
    this.feed.watch(false);
    if (this.claims.size > 0 || this.listeningLeases > 0) return;
    this.feed.stop();
    this.outdated.clear();
    this.picture.shrinkToFree(REMEMBERED_SLOTS);
  }

  private unavailable(patienceMs: number, trouble: Error | undefined): BackendUnavailableError {
    const reason = trouble?.message ?? 'the server did not answer';
    return new BackendUnavailableError(`no permit of "${this.name}" within ${patienceMs} ms: ${reason}`, {
      primitive: this.name,
      cause: trouble,
    });
  }

  private closedError(): DispatcherClosedError {
    return new DispatcherClosedError('the dispatcher is closed', { primitive: this.name });
  }

  private corruptError(key: string, reason: string): CorruptEntryError {
    return new CorruptEntryError(`the entry ${key} of "${this.name}" can not be read: ${reason}`, {
      primitive: this.name,
    });
  }
}
