import { AsyncLocalStorage } from 'node:async_hooks';
import { PermitLostError } from '../errors';
import type { PermitEvents } from './events';
import { runAndRelease } from './lock';
import { checkCount } from './option-checks';
import { type OwnPermit, type Permit, releaseFailed, releaseQuietly, stillHeld, workEnded } from './permit';

/**
 * Which reentrant mutexes the running code holds, by its asynchronous context: what it calls and awaits inherits that. A list never
 * changes, since other contexts may have inherited it too; the content of its places does.
 */
const places = new AsyncLocalStorage<readonly Place[]>();

/** Somewhere in a context where a hold on one mutex is stored, or was. */
interface Place {
  /** The mutex: its dispatcher and its name. */
  readonly owner: object;
  readonly name: string;
  state: 'waiting' | 'over' | SharedPermit;
}

/**
 * Lets a context that holds a mutex lock it again.
 *
 * Invariants:
 * - Only a context whose place holds a permit that is held now enters at once. A context that waits for its first permit, or whose hold was
 *   lost, acquires like any other caller.
 * - The permit is released when all its locks are released, in any order.
 */
export class Reentrancy {
  constructor(
    private readonly owner: object,
    private readonly name: string,
  ) {}

  /** A permit for the code that continues in this context. Has to be called before anything is awaited. */
  take(acquire: () => Promise<OwnPermit>): Promise<OwnPermit> {
    const again = this.again();
    return again === undefined ? this.enter(acquire) : Promise.resolve(again);
  }

  /** Runs work with a permit, in a context that holds it, and releases it. */
  async takeFor<T>(acquire: () => Promise<OwnPermit>, work: (permit: Permit) => T | Promise<T>): Promise<T> {
    const again = this.again();
    if (again !== undefined) return runAndRelease(again, work);
    return this.run(await acquire(), (permit) => runAndRelease(permit, work));
  }

  /** Locks again what this context holds; undefined if it holds nothing. */
  private again(): OwnPermit | undefined {
    const place = places.getStore()?.find((known) => this.isOurs(known));
    return typeof place?.state === 'object' && place.state.isHeld ? place.state.lock() : undefined;
  }

  /** Acquires for this context, from the caller's next step on. A second call of the caller during the wait does not share it. */
  private async enter(acquire: () => Promise<OwnPermit>): Promise<OwnPermit> {
    const place = this.place('waiting');
    places.enterWith(this.listWith(place));
    try {
      const shared = new SharedPermit(await acquire(), () => (place.state = 'over'));
      place.state = shared;
      return shared.lock();
    } catch (error) {
      place.state = 'over';
      throw error;
    }
  }

  /** Runs work in a context of its own that holds the permit. */
  private run<T>(permit: OwnPermit, work: (permit: OwnPermit) => T): T {
    const place = this.place('waiting');
    const shared = new SharedPermit(permit, () => (place.state = 'over'));
    place.state = shared;
    return places.run(this.listWith(place), () => work(shared.lock()));
  }

  private place(state: Place['state']): Place {
    return { owner: this.owner, name: this.name, state };
  }

  private isOurs(place: Place): boolean {
    return place.owner === this.owner && place.name === this.name;
  }

  private listWith(place: Place): Place[] {
    const others = (places.getStore() ?? []).filter((known) => isLive(known) && !this.isOurs(known));
    return [...others, place];
  }
}

function isLive({ state }: Place): boolean {
  return typeof state === 'object' ? state.isHeld : state === 'waiting';
}

/** A permit that was locked once or more often by one context. */
class SharedPermit {
  private locks = 0;

  constructor(
    readonly permit: OwnPermit,
    private readonly over: () => void,
  ) {}

  get isHeld(): boolean {
    return this.permit[stillHeld];
  }

  lock(): OwnPermit {
    this.locks++;
    return new CountedPermit(this);
  }

  /** Removes one lock; the last one releases the permit. */
  async unlock(): Promise<boolean> {
    if (--this.locks > 0) return this.isHeld;
    this.over();
    return this.permit.release();
  }
}

/** One lock of a shared permit: it has its own release, the rest is that of the permit. */
class CountedPermit implements OwnPermit {
  readonly #shared: SharedPermit;
  #released = false;

  constructor(shared: SharedPermit) {
    this.#shared = shared;
  }

  get id(): string {
    return this.#shared.permit.id;
  }

  get count(): number {
    return this.#shared.permit.count;
  }

  get slots(): readonly number[] {
    return this.#shared.permit.slots;
  }

  get fencingToken(): bigint {
    return this.#shared.permit.fencingToken;
  }

  get signal(): AbortSignal {
    return this.#shared.permit.signal;
  }

  get isHeld(): boolean {
    return !this.#released && this.#shared.permit.isHeld;
  }

  get remaining(): number {
    return this.#released ? 0 : this.#shared.permit.remaining;
  }

  async renew(ttl?: number): Promise<void> {
    if (this.#released) throw new PermitLostError(`permit ${this.id} was released`);
    await this.#shared.permit.renew(ttl);
  }

  async release(count?: number): Promise<boolean> {
    if (count !== undefined && this[stillHeld]) checkCount(count, 1, 'the slots it holds');
    if (this.#released) return false;
    this.#released = true;
    return this.#shared.unlock();
  }

  on<E extends keyof PermitEvents>(event: E, listener: (detail: PermitEvents[E]) => void): () => void {
    return this.#shared.permit.on(event, listener);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return releaseQuietly(this);
  }

  get [stillHeld](): boolean {
    return !this.#released && this.#shared.isHeld;
  }

  [workEnded](): void {
    if (!this.#released) this.#shared.permit[workEnded]();
  }

  [releaseFailed](error: unknown, attached: boolean): void {
    this.#shared.permit[releaseFailed](error, attached);
  }
}
