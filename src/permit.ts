import type { Lease } from './core/lease';
import { BackendUnavailableError } from './errors';
import { Events, type PermitEvents } from './events';

/**
 * A hold on one or more slots, until it is released or lost.
 *
 * It guarantees that {@link Permit.isHeld} is false, and {@link Permit.signal} aborted, before the server can give a slot
 * of it to somebody else, by this process's own clock: also when the network is silent or the process was paused. It can
 * not stop work that ignores that; where such work writes to something shared, let the resource refuse a
 * {@link Permit.fencingToken} older than the newest it has seen.
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
  /** Whether it holds its slots at this moment, by our own clock. */
  readonly isHeld: boolean;
  /** Ms until the hold is lost if no renewal succeeds; 0 if it is not held. */
  readonly remaining: number;
  /**
   * Prolongs the hold to `ttl` ms from now; default: its ttl. Only needed with `autoRenew: false`, or to change the ttl,
   * which later renewals keep. While the server is out of reach it waits, at most until the hold is lost.
   * @throws PermitLostError if the permit is not held any more; BackendUnavailableError if the connection was closed, and
   *   what else the server refuses it for: the permit is then held as long as it was
   */
  renew(ttl?: number): Promise<void>;
  /**
   * Gives back all slots, or `count` of them. Resolves with whether they were still held; a second call, and a
   * call after a loss, does nothing and resolves with false. Never touches what others hold meanwhile.
   * @throws BackendUnavailableError if the server does not answer for 5 s. The release goes on in the background, and the
   *   server frees the slots by itself when their ttl ends.
   */
  release(count?: number): Promise<boolean>;
  /** Calls back whenever something happens to it; see {@link PermitEvents}. Returns how to stop that. */
  on<E extends keyof PermitEvents>(event: E, listener: (detail: PermitEvents[E]) => void): () => void;
  /** Releases, like {@link Permit.release}, but does not throw when the server is out of reach. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A permit to write under a read-write lock. */
export interface WritePermit extends Permit {
  /**
   * Makes it a permit to read, without a gap: nobody else can write before it is released. Others who wait to read are let
   * in. The fencing token stays. Resolves with this permit; a second call does nothing.
   * @throws PermitLostError if it is not held any more; BackendUnavailableError if the connection was closed, and what
   *   else the server refuses it for: it is then held as it was
   */
  downgrade(): Promise<Permit>;
}

/** Checks of arguments that the handle leaves to its primitive. */
export interface PermitChecks {
  ttl(ttl: unknown): number;
  count(count: unknown, held: number): number;
}

export function toPermit(lease: Lease, checks: PermitChecks): Permit {
  return new PermitHandle(lease, checks);
}

/** @param downgrade makes the lease one to read */
export function toWritePermit(
  lease: Lease,
  checks: PermitChecks,
  downgrade: () => Promise<void>,
): WritePermit {
  return new WritePermitHandle(lease, checks, downgrade);
}

class PermitHandle implements Permit {
  readonly #lease: Lease;
  readonly #checks: PermitChecks;
  #events: Events<PermitEvents> | undefined;

  constructor(lease: Lease, checks: PermitChecks) {
    this.#lease = lease;
    this.#checks = checks;
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
    return this.#lease.signal;
  }

  get isHeld(): boolean {
    return this.#lease.isHeld;
  }

  get remaining(): number {
    return this.#lease.remaining;
  }

  async renew(ttl?: number): Promise<void> {
    await this.#lease.renew(ttl === undefined ? undefined : this.#checks.ttl(ttl));
  }

  async release(count?: number): Promise<boolean> {
    if (count === undefined || !this.#lease.isHeld) return this.#lease.release();
    return this.#lease.release(this.#checks.count(count, this.count));
  }

  on<E extends keyof PermitEvents>(event: E, listener: (detail: PermitEvents[E]) => void): () => void {
    this.#events ??= this.#follow();
    return this.#events.on(event, listener);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return releaseQuietly(this);
  }

  #follow(): Events<PermitEvents> {
    const events = new Events<PermitEvents>();
    this.#lease.watch({
      renewed: (acknowledged) => {
        if (acknowledged) events.tell('renewed', { remaining: this.remaining });
      },
      gaveBack: () => undefined,
      released: () => void events.tell('released', {}),
      lost: (error) => void events.tell('lost', { error }),
    });
    return events;
  }
}

/** Releases; that the server is out of reach is no news: the ttl ends the hold. */
export async function releaseQuietly(permit: Permit): Promise<void> {
  try {
    await permit.release();
  } catch (error) {
    if (!(error instanceof BackendUnavailableError)) throw error;
  }
}

class WritePermitHandle extends PermitHandle implements WritePermit {
  readonly #downgrade: () => Promise<void>;

  constructor(lease: Lease, checks: PermitChecks, downgrade: () => Promise<void>) {
    super(lease, checks);
    this.#downgrade = downgrade;
  }

  async downgrade(): Promise<Permit> {
    await this.#downgrade();
    return this;
  }
}
