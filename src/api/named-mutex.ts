import { systemClock } from '../runtime/clock';
import { throwIfAborted } from '../runtime/on-abort';
import type { NatsDispatcher } from './dispatcher';
import { LockHandle } from './lock';
import type { Mutex } from './mutex';
import type { LockOptions, MutexOptions } from './options';
import { checkSignal, checkTimeout, signalOfWatch } from './option-checks';
import type { OwnPermit, Permit } from './permit';
import { Reentrancy } from './reentrancy';
import { isForced } from './slot-lock';
import type { RemoveOptions } from './options';
import type { MutexStatus } from './status';

/** A mutex whose dispatcher is connected when it is first used. The timeout of that use covers connecting too. */
export class NamedMutex extends LockHandle<LockOptions> implements Mutex {
  readonly #connected: (patience: LockOptions) => Promise<NatsDispatcher>;
  readonly #options: MutexOptions;
  readonly #reentrancy: Reentrancy | undefined;

  /** @param owner of the mutex: two of one owner and name are the same */
  constructor(
    owner: object,
    readonly name: string,
    { reentrant, ...options }: MutexOptions,
    connected: (patience: LockOptions) => Promise<NatsDispatcher>,
  ) {
    super();
    this.#connected = connected;
    this.#options = options;
    this.#reentrancy = reentrant === true ? new Reentrancy(owner, name) : undefined;
  }

  async isLocked(): Promise<boolean> {
    return (await this.#mutex()).isLocked();
  }

  async status(): Promise<MutexStatus> {
    return (await this.#mutex()).status();
  }

  async *watch(options?: { signal?: AbortSignal }): AsyncGenerator<MutexStatus> {
    const signal = options && signalOfWatch(options);
    yield* (await this.#mutex({ signal })).watch(options);
  }

  async forceRelease(permitId: string): Promise<boolean> {
    return (await this.#mutex()).forceRelease(permitId);
  }

  async remove(options?: RemoveOptions): Promise<boolean> {
    isForced(options);
    return (await this.#mutex()).remove(options);
  }

  protected override async take(options: LockOptions): Promise<OwnPermit> {
    throwIfAborted(checkSignal(options.signal));
    const acquire = (): Promise<OwnPermit> => this.#acquire(options);
    return this.#reentrancy === undefined ? acquire() : this.#reentrancy.take(acquire);
  }

  protected override async takeFor<T>(
    options: LockOptions,
    work: (permit: Permit) => T | Promise<T>,
  ): Promise<T> {
    if (this.#reentrancy === undefined) return super.takeFor(options, work);
    throwIfAborted(checkSignal(options.signal));
    return this.#reentrancy.takeFor(() => this.#acquire(options), work);
  }

  async #acquire(options: LockOptions): Promise<OwnPermit> {
    const timeout = checkTimeout(options.timeout);
    checkSignal(options.signal);
    const askedAt = systemClock.now();
    // One attempt, even if it has to connect first: that gets as long as any connection.
    const mutex = await this.#mutex({ ...options, timeout: timeout === 0 ? undefined : timeout });
    const left =
      timeout === undefined || timeout === 0 ? timeout : Math.max(1, timeout - (systemClock.now() - askedAt));
    // The mutex of a dispatcher hands out permits of this library.
    return (await mutex.acquire({ ...options, timeout: left })) as OwnPermit;
  }

  async #mutex(patience: LockOptions = {}): Promise<Mutex> {
    return (await this.#connected(patience)).mutex(this.name, this.#options);
  }
}
