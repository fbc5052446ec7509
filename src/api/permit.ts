import type { Lease } from '../lease/lease';
import type { PermitLostError } from '../errors';
import { Events, type PermitEvents, type PrimitiveRef } from './events';
import type { Telemetry } from './telemetry/telemetry';

/**
 * A hold on one or more slots, until it is released or lost.
 *
 * It guarantees that {@link Permit.isHeld} is false, and {@link Permit.signal} aborted, before the server can grant one of its slots to
 * another holder, by this process's own clock: also when the network is silent or the process was paused. It can not stop work that ignores
 * that. Where such work writes to something shared, let the resource refuse a {@link Permit.fencingToken} older than the newest it has
 * seen.
 */
export interface Permit extends AsyncDisposable {
  /** Identifies this hold in status views. */
  readonly id: string;
  /** How many slots it holds now. */
  readonly count: number;
  /** Numbers of the slots it holds now, from 0. */
  readonly slots: readonly number[];
  /** Grows with every grant of the same slot; stays the same for the life of a permit. */
  readonly fencingToken: bigint;
  /** Aborts with a {@link PermitLostError} when the hold is lost; never on a release. */
  readonly signal: AbortSignal;
  /** Whether it holds its slots at this moment, by this process's clock. */
  readonly isHeld: boolean;
  /** Ms until the hold is lost if no renewal succeeds; 0 if it is not held. */
  readonly remaining: number;
  /**
   * Extends the hold to `ttl` ms from now; default: its ttl. Only needed with `autoRenew: false`, or to change the ttl, which later
   * renewals keep. While the server is out of reach it waits, at most until the hold is lost.
   * @throws PermitLostError if the permit is not held any more; BackendUnavailableError if the connection was closed; and any error with
   *   which the server refuses it: the permit is then held as long as it was
   */
  renew(ttl?: number): Promise<void>;
  /**
   * Releases all slots, or `count` of them. Resolves with whether they were still held; a second call, and a call after a loss, does
   * nothing and resolves with false. Never affects what others hold meanwhile.
   * @throws BackendUnavailableError if the server does not answer for 5 s. The release continues in the background, and the server frees
   *   the slots by itself when their ttl ends.
   */
  release(count?: number): Promise<boolean>;
  /** Calls the listener for an event of this permit; see {@link PermitEvents}. Returns a function that stops that. */
  on<E extends keyof PermitEvents>(event: E, listener: (detail: PermitEvents[E]) => void): () => void;
  /**
   * Releases, like {@link Permit.release}, but never throws, so that it hides no error of the block it ends. The dispatcher reports a
   * failure with the event `releaseFailed`, or with a process warning if the event has no listener.
   */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A permit to write under a read-write lock. */
export interface WritePermit extends Permit {
  /**
   * Makes it a permit to read, without a gap: there is no other writer before it is released. Other waiting readers are admitted. The
   * fencing token stays. Resolves with this permit; a second call does nothing.
   * @throws PermitLostError if it is not held any more; BackendUnavailableError if the connection was closed; and any error with which the
   *   server refuses it: it is then held as it was
   */
  downgrade(): Promise<Permit>;
}

/** Whether it is held, for code of the library: it does not count as a check by the holder. */
export const stillHeld = Symbol('stillHeld');
/** To be called when work under the permit has ended well. Warns if the permit was lost and nothing noticed. */
export const workEnded = Symbol('workEnded');
/** To be called when a release failed and no caller learns of it. `attached`: the error of the work carries the failure. */
export const releaseFailed = Symbol('releaseFailed');

/** A permit of this library, with the members that the holder does not see. */
export interface OwnPermit extends Permit {
  readonly [stillHeld]: boolean;
  [workEnded](): void;
  [releaseFailed](error: unknown, attached: boolean): void;
}

/** What a permit needs of its primitive. */
export interface PermitHome extends PrimitiveRef {
  readonly telemetry: Telemetry;
  /** Check the arguments. */
  ttl(ttl: unknown): number;
  count(count: unknown, held: number): number;
}

export function toPermit(lease: Lease, home: PermitHome): OwnPermit {
  return new PermitHandle(lease, home);
}

/** @param downgrade makes the lease one to read */
export function toWritePermit(
  lease: Lease,
  home: PermitHome,
  downgrade: () => Promise<void>,
): OwnPermit & WritePermit {
  return new WritePermitHandle(lease, home, downgrade);
}

class PermitHandle implements OwnPermit {
  readonly #lease: Lease;
  readonly #home: PermitHome;
  #events: Events<PermitEvents> | undefined;
  /** Whether the holder has a way to notice a loss, or has looked. */
  #looked = false;

  constructor(lease: Lease, home: PermitHome) {
    this.#lease = lease;
    this.#home = home;
  }

  get id(): string {
    return this.#lease.id;
  }

  get count(): number {
    return this.#lease.held.length;
  }

  get slots(): readonly number[] {
    return this.#lease.held.map(({ slot }) => slot);
  }

  get fencingToken(): bigint {
    return this.#lease.token;
  }

  get signal(): AbortSignal {
    this.#looked = true;
    return this.#lease.signal;
  }

  get isHeld(): boolean {
    this.#looked = true;
    return this.#lease.isHeld;
  }

  get remaining(): number {
    this.#looked = true;
    return this.#lease.remaining;
  }

  async renew(ttl?: number): Promise<void> {
    this.#looked = true;
    await this.#lease.renew(ttl === undefined ? undefined : this.#home.ttl(ttl));
  }

  async release(count?: number): Promise<boolean> {
    if (count === undefined || !this.#lease.isHeld) return this.#lease.release();
    return this.#lease.release(this.#home.count(count, this.count));
  }

  on<E extends keyof PermitEvents>(event: E, listener: (detail: PermitEvents[E]) => void): () => void {
    if (event === 'lost') this.#looked = true;
    this.#events ??= this.#follow();
    return this.#events.on(event, listener);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return releaseQuietly(this);
  }

  get [stillHeld](): boolean {
    return this.#lease.isHeld;
  }

  [workEnded](): void {
    if (this.#looked || this.#lease.isHeld) return;
    const { signal } = this.#lease;
    // Otherwise the work itself has released it.
    if (signal.aborted) this.#home.telemetry.lossUnnoticed(this.#home, signal.reason as PermitLostError);
  }

  [releaseFailed](error: unknown, attached: boolean): void {
    this.#home.telemetry.releaseFailed(this.#home, this.id, error, attached);
  }

  #follow(): Events<PermitEvents> {
    const events = new Events<PermitEvents>();
    this.#lease.watch({
      renewed: (acknowledged) => {
        if (acknowledged) events.tell('renewed', { remaining: this.#lease.remaining });
      },
      gaveBack: () => undefined,
      released: () => void events.tell('released', {}),
      lost: (error) => void events.tell('lost', { error }),
    });
    return events;
  }
}

/** Releases where no caller learns of a failure. */
export async function releaseQuietly(permit: OwnPermit): Promise<void> {
  try {
    await permit.release();
  } catch (error) {
    permit[releaseFailed](error, false);
  }
}

class WritePermitHandle extends PermitHandle implements WritePermit {
  readonly #downgrade: () => Promise<void>;

  constructor(lease: Lease, home: PermitHome, downgrade: () => Promise<void>) {
    super(lease, home);
    this.#downgrade = downgrade;
  }

  async downgrade(): Promise<Permit> {
    await this.#downgrade();
    return this;
  }
}
