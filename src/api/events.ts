import type { PermitLostError } from '../errors';
import type { PermitKind } from './status';
import { warn } from '../runtime/warning';

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

/** Events of a dispatcher, by name. All times are in ms. */
export interface DispatcherEvents {
  /**
   * The connection to NATS was lost. The client tries to reconnect; permits are held until their ttl ends, and renewed if the
   * connection is back before.
   * - `cause`: to which server, and why as far as is known
   */
  disconnected: { readonly cause: Error };
  /**
   * The server refuses the login of a client that tries to reconnect: a password was changed, credentials have expired. A connection
   * made by `NatsDispatcher.connect` tries again for ever. Comes once for each `disconnected`.
   */
  loginRefused: { readonly error: Error };
  /**
   * The connection to NATS is restored.
   * - `afterMs`: how long it was gone
   */
  reconnected: { readonly afterMs: number };
  /**
   * The connection to NATS is closed for good, and not by the dispatcher: its owner closed it, or the client has given up. From now on
   * every operation fails with a {@link BackendUnavailableError}; a new dispatcher is needed. If the client has given up and there is no
   * listener, the library emits a process warning.
   */
  connectionClosed: { readonly cause: Error };
  /**
   * With `onUnavailable: "local"`: from now on permits are granted within this process only.
   * - `cause`: why the server counts as out of reach
   */
  degraded: { readonly cause: Error };
  /**
   * The server is back: from now on permits are granted for all processes again. Local permits stay held until they are released.
   * - `afterMs`: how long it was degraded
   */
  restored: { readonly afterMs: number };
  /** A permit was granted, `waitedMs` after the request for it. */
  acquired: PermitRef & { readonly waitedMs: number };
  /** An acquire ended without a permit: nothing free in time, aborted, or the server out of reach. */
  refused: PrimitiveRef & { readonly waitedMs: number; readonly error: unknown };
  /** A permit was released by its holder. */
  released: PermitRef & { readonly heldMs: number };
  /**
   * A permit could not be released, or the server did not acknowledge it, where no call is left to reject: after `lock(timeout, work)` and
   * at the end of an `await using`. The server frees the slots when their ttl ends, if not before.
   */
  releaseFailed: PrimitiveRef & { readonly permitId: string; readonly error: unknown };
  /** A hold was lost before it was released. */
  lost: PermitRef & { readonly heldMs: number; readonly error: PermitLostError };
}

/** Whether the server is in reach, and whether permits are granted within this process only. */
export type OutageEvents = Pick<
  DispatcherEvents,
  'connectionClosed' | 'degraded' | 'disconnected' | 'loginRefused' | 'reconnected' | 'restored'
>;

export const OUTAGE_EVENTS: readonly (keyof OutageEvents)[] = [
  'connectionClosed',
  'degraded',
  'disconnected',
  'loginRefused',
  'reconnected',
  'restored',
];

/** Events of a permit, by name. */
export interface PermitEvents {
  /** A renewal was acknowledged; `remaining` ms are left from now. */
  renewed: { readonly remaining: number };
  /** It was released. */
  released: Record<never, never>;
  /** It was lost. Comes with the abort of {@link Permit.signal}. */
  lost: { readonly error: PermitLostError };
}

/**
 * Listeners by event. One that throws does not affect the others, nor the code that reports the event: the library emits a process warning.
 */
export class Events<All extends object> {
  private readonly listeners = new Map<keyof All, Set<(detail: never) => void>>();
  private readonly relays: ((event: keyof All, detail: never) => boolean)[] = [];

  /** Whether there is a listener, for any of `events`. */
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

  /** Also passes these events to the listeners of `other` from now on. */
  relayTo<E extends keyof All>(other: Events<Pick<All, E>>, events: readonly E[]): void {
    this.relays.push((event, detail) => events.includes(event as E) && other.tell(event as E, detail));
  }

  /** As {@link Events.tell}; if there is no listener, emits a process warning. */
  tellOrWarn<E extends keyof All>(event: E, detail: All[E], message: string): void {
    if (!this.tell(event, detail)) process.emitWarning(message, 'NatsSemaphoreWarning');
  }

  /** Returns whether there was a listener. */
  tell<E extends keyof All>(event: E, detail: All[E]): boolean {
    const all = [...(this.listeners.get(event) ?? [])] as ((detail: All[E]) => void)[];
    for (const listener of all) {
      try {
        listener(detail);
      } catch (error) {
        warn('NATS_SEMAPHORE_LISTENER_FAILED', `a listener for "${String(event)}" failed: ${String(error)}`);
      }
    }
    const relayed = this.relays.map((relay) => relay(event, detail as never));
    return all.length > 0 || relayed.includes(true);
  }
}
