import { BackendUnavailableError } from '../errors';
import { MemoryStore } from '../store/memory';
import { Abort } from '../runtime/cancellation';
import { type Clock } from '../runtime/clock';
import type { Context } from '../store/context';
import type { Engine } from './engine';
import { EngineRegistry } from './engine-registry';
import { retry } from '../store/retry';
import type { Keys } from '../protocol/keys';
import type { Lease } from '../lease/lease';
import { abortReason, abortWith } from '../runtime/on-abort';
import type { Patience, Want } from '../protocol/request';

/** How long the backend has to be out of reach, with a waiter, before permits are granted without it. */
export const OUTAGE_AFTER_MS = 3_000;
/** How often to check, while there is a waiter, whether the connection is up. Sends no request. */
const LOOK_MS = 250;
/** How long a connected backend that seems out of reach gets to answer. */
const PROBE_MS = 2_000;
/** Any key: only the answer counts. */
const PROBE_KEY = 'probe';

/** Called when permits begin to be granted within the process only, and when that ends. */
export interface OutageObserver {
  degraded(cause: Error): void;
  restored(afterMs: number): void;
}

/**
 * Grants permits within this process while the backend is out of reach, for programs that prefer too many holders to none.
 *
 * Invariants:
 * - It begins when a waiter waited for {@link OUTAGE_AFTER_MS} without the backend being in reach, or would have been refused for that
 *   reason, and ends as soon as the backend has answered a read. Both are reported before a permit is granted by them. With a store that is
 *   closed for good it lasts until {@link LocalFallback.close}.
 * - An acquire is on one side at a time: waiters move over when it begins and when it ends. Permits stay where they are.
 * - Permits of this side have fencing tokens from 1: lower than any of the backend's, so that a resource which has seen a token of the
 *   backend refuses them.
 */
export class LocalFallback {
  private readonly local: Context;
  private readonly engines: EngineRegistry;
  /** Waiters on the side that is in force: aborted when the other side takes over, and with their caller's signal. */
  private readonly waiting = new Set<AbortController>();
  private readonly ending = new Abort();
  private since: number | undefined;
  private troubleSince: number | undefined;
  private cancelLook: (() => void) | undefined;
  private probing = false;

  constructor(
    private readonly context: Context,
    private readonly observer: OutageObserver,
  ) {
    const store = new MemoryStore(context.clock, 0);
    this.local = { ...context, store, counts: { safetyReads: 0, safetyFinds: 0 } };
    this.engines = new EngineRegistry(this.local);
  }

  /** Whether permits are granted within this process. */
  get isOn(): boolean {
    return this.since !== undefined;
  }

  /** Waits for a permit on the side that is in force. @param engine that of the backend; throws once the dispatcher is closed */
  async acquire(keys: Keys, engine: () => Engine, want: Want, patience: Patience): Promise<Lease> {
    const { clock } = this.context;
    const askedAt = clock.now();
    for (;;) {
      const real = engine();
      const { isOn } = this;
      const moved = new AbortController();
      const own = patienceLeft(clock, patience, askedAt, moved.signal);
      const unlink = abortWith(moved, patience.signal);
      this.waiting.add(moved);
      try {
        if (isOn) return await this.engines.get(keys, real.name).acquire(localWant(real, want), own);
        this.look();
        return await real.acquire(want, own);
      } catch (error) {
        // The side may have changed in the instant before: do not pass that reason to the caller.
        if (patience.signal?.aborted === true)
          throw moved.signal.aborted ? abortReason(patience.signal) : error;
        if (this.ending.aborted) throw error;
        if (moved.signal.aborted) continue;
        // A connection that is closed for good is an outage that does not end.
        if (isOn || !(error instanceof BackendUnavailableError)) throw error;
        this.begin(error);
      } finally {
        this.waiting.delete(moved);
        unlink();
      }
    }
  }

  async close(): Promise<void> {
    this.ending.abort();
    this.cancelLook?.();
    await this.engines.close();
    await this.local.store.close();
  }

  private begin(cause: Error): void {
    if (this.isOn || this.ending.aborted) return;
    this.since = this.context.clock.now();
    this.observer.degraded(cause);
    this.move();
    this.context.background.add(this.endWhenBack());
  }

  private async endWhenBack(): Promise<void> {
    const { clock } = this.context;
    await retry(this.context, () => this.probe(clock.now() + PROBE_MS), this.ending.signal);
    if (this.ending.aborted || this.since === undefined) return;
    const took = clock.now() - this.since;
    this.since = undefined;
    this.troubleSince = undefined;
    this.observer.restored(took);
    this.move();
  }

  private probe(until: number): Promise<unknown> {
    return this.context.store.read([PROBE_KEY], { until });
  }

  private move(): void {
    for (const waiter of [...this.waiting]) waiter.abort();
  }

  /** Checks whether the backend is in reach, for as long as there is a waiter. */
  private look(): void {
    if (this.cancelLook !== undefined || this.ending.aborted) return;
    this.cancelLook = this.context.clock.after(LOOK_MS, () => {
      this.cancelLook = undefined;
      if (this.isOn || this.waiting.size === 0) this.troubleSince = undefined;
      else this.consider();
    });
  }

  private consider(): void {
    const { clock, store } = this.context;
    const trouble = store.trouble();
    if (trouble === undefined) this.troubleSince = undefined;
    else this.troubleSince ??= clock.now();
    if (trouble !== undefined && clock.now() - (this.troubleSince ?? Infinity) >= OUTAGE_AFTER_MS) {
      if (store.down() !== undefined) return this.begin(trouble);
      if (!this.probing) this.context.background.add(this.makeSure());
    }
    this.look();
  }

  /** The connection is up, and the last request on it failed, perhaps a while ago. */
  private async makeSure(): Promise<void> {
    this.probing = true;
    try {
      await this.probe(this.context.clock.now() + PROBE_MS);
      this.troubleSince = undefined;
    } catch (error) {
      if (error instanceof BackendUnavailableError) this.begin(error);
    } finally {
      this.probing = false;
    }
  }
}

/** The limit within the process is the last known limit of the backend. */
function localWant(real: Engine, want: Want): Want {
  const known = real.table.limit?.limit;
  return {
    ...want,
    retain: 0,
    slots: known?.ok === true ? known.record.slots : want.slots,
    limitPolicy: 'set',
  };
}

function patienceLeft(clock: Clock, patience: Patience, askedAt: number, moved: AbortSignal): Patience {
  const { timeout } = patience;
  return {
    timeout: timeout === undefined ? undefined : Math.max(0, timeout - (clock.now() - askedAt)),
    signal: moved,
  };
}
