import type { PermitLostError } from './errors';
import type { PermitKind } from './status';
import { warn } from './warning';

/** Which primitive something is about. */
export interface PrimitiveRef {
  readonly kind: PermitKind;
  readonly name: string;
}

/** Which permit something is about. */
export interface PermitRef extends PrimitiveRef {
  readonly permitId: string;
  /** How many slots it was granted; of a read-write lock 1. */
  readonly count: number;
}

/** What a dispatcher tells of itself, by name. All times are in ms. */
export interface DispatcherEvents {
  /**
   * With `onUnavailable: "local"`: from now on permits are granted within this process only.
   * - `cause`: why the server counts as out of reach
   */
  degraded: { readonly cause: Error };
  /**
   * The server is back: from now on permits are granted for all processes again. Local ones that are held are held on.
   * - `afterMs`: how long it was degraded
   */
  restored: { readonly afterMs: number };
  /** A permit was granted, `waitedMs` after it was asked for. */
  acquired: PermitRef & { readonly waitedMs: number };
  /** An acquire ended without a permit: nothing free in time, given up, the server out of reach. */
  refused: PrimitiveRef & { readonly waitedMs: number; readonly error: unknown };
  /** A permit was given back by its holder. */
  released: PermitRef & { readonly heldMs: number };
  /**
   * A permit could not be released, or the server did not acknowledge it, where no call is left to reject: after `lock(timeout, work)` and
   * at the end of an `await using`. The server frees the slots when their ttl ends, if not before.
   */
  releaseFailed: PrimitiveRef & { readonly permitId: string; readonly error: unknown };
  /** A hold was lost before it was released. */
  lost: PermitRef & { readonly heldMs: number; readonly error: PermitLostError };
}

/** What tells whether permits are granted within this process only. */
export type OutageEvents = Pick<DispatcherEvents, 'degraded' | 'restored'>;

/** What a permit tells of itself, by name. */
export interface PermitEvents {
  /** A renewal was acknowledged; `remaining` ms are left from now. */
  renewed: { readonly remaining: number };
  /** It was released. */
  released: Record<never, never>;
  /** It was lost. Comes with the abort of {@link Permit.signal}. */
  lost: { readonly error: PermitLostError };
}

/** Listeners by event. One that throws does no harm to the others, nor to whoever tells: the process is warned. */
export class Events<All extends object> {
  private readonly listeners = new Map<keyof All, Set<(detail: never) => void>>();

  /** Whether anybody listens, to any of `events`. */
  has(...events: (keyof All)[]): boolean {
    return events.some((event) => (this.listeners.get(event)?.size ?? 0) > 0);
  }

  /** Returns how to stop listening. */
  on<E extends keyof All>(event: E, listener: (detail: All[E]) => void): () => void {
    if (typeof listener !== 'function') throw new TypeError('listener must be a function');
    const all = this.listeners.get(event) ?? new Set();
    this.listeners.set(event, all.add(listener));
    return () => all.delete(listener);
  }

  /** Returns whether anybody listened. */
  tell<E extends keyof All>(event: E, detail: All[E]): boolean {
    const all = [...(this.listeners.get(event) ?? [])] as ((detail: All[E]) => void)[];
    for (const listener of all) {
      try {
        listener(detail);
      } catch (error) {
        warn('NATS_SEMAPHORE_LISTENER_FAILED', `a listener for "${String(event)}" failed: ${String(error)}`);
      }
    }
    return all.length > 0;
  }
}
