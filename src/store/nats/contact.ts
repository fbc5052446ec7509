import type { Clock } from '../../runtime/clock';
import { BackendUnavailableError } from '../../errors';
import { isLoginRefused } from './failure';

/**
 * State of the NATS connection, as far as the client has noticed. `disconnected`: the client tries to reconnect. `closed`: closed
 * for good, by its owner or because the client gave up.
 */
export type ConnectionState = 'connected' | 'disconnected' | 'closed';

/** An error that the server reported longer ago than this before the connection was lost, in ms, is not the reason. */
const REASON_MS = 1_000;

/** Receives the events of a connection. */
export interface ContactObserver {
  /** The connection was lost; the client tries to reconnect. */
  disconnected(cause: Error): void;
  /** The server refuses the login; the client tries again. Called once for each time that the connection is lost. */
  loginRefused(error: Error): void;
  reconnected(afterMs: number): void;
  /** @param gaveUp whether the client closed it, and not its owner */
  closed(cause: Error, gaveUp: boolean): void;
}

/** The state of a connection; while it is lost, also since when and why. */
export class Contact {
  private current: ConnectionState = 'connected';
  /** False for a connection that the caller may have passed in while the client reconnects: only the next event shows its state. */
  private isKnown = false;
  private since = 0;
  private reason: Error | undefined;
  private reasonAt = -Infinity;
  private refusal: Error | undefined;
  private readonly observers = new Set<ContactObserver>();

  constructor(private readonly clock: Clock) {}

  get state(): ConnectionState {
    return this.current;
  }

  /** How long there has been no connection, in ms; 0 while there is one. */
  get goneMs(): number {
    return this.current === 'connected' ? 0 : this.clock.now() - this.since;
  }

  /** The last reason that the client or the server gave for the missing connection: `: Authorization Violation`, or nothing. */
  get why(): string {
    return this.reason === undefined || this.reason.message === '' ? '' : `: ${this.reason.message}`;
  }

  /** Adds an observer. The returned function removes it. */
  observe(observer: ContactObserver): () => void {
    this.observers.add(observer);
    return () => this.observers.delete(observer);
  }

  /** Removes all observers. */
  forgetObservers(): void {
    this.observers.clear();
  }

  /** Call when the client reports an error. While there is no connection, and just before it is lost, the error is the reason. */
  heard(error: Error): void {
    this.reason = error;
    this.reasonAt = this.clock.now();
    if (isLoginRefused(error)) this.refused(error);
  }

  /** Call when the connection is lost. @param server the server that the client was connected to */
  lost(server: string): void {
    if (this.current !== 'connected') return;
    this.begin('disconnected');
    if (this.clock.now() - this.reasonAt > REASON_MS) this.reason = undefined;
    const cause = new BackendUnavailableError(`the connection to NATS at ${server} was lost${this.why}`, {
      cause: this.reason,
    });
    for (const observer of this.observers) observer.disconnected(cause);
    if (isLoginRefused(this.reason)) this.refused(this.reason as Error);
  }

  /** Call on a reconnect. Returns whether it is new: the client reports a reconnect once for each attempt that it has made. */
  regained(): boolean {
    if (this.current === 'closed' || (this.current === 'connected' && this.isKnown)) return false;
    const took = this.goneMs;
    const wasLost = this.current === 'disconnected';
    this.isKnown = true;
    this.current = 'connected';
    this.reason = undefined;
    this.refusal = undefined;
    if (wasLost) for (const observer of this.observers) observer.reconnected(took);
    return true;
  }

  /** Call when the connection is closed for good. @param error why the client gave up; undefined if the owner closed it */
  ended(error: unknown): void {
    if (this.current === 'connected') this.begin('closed');
    this.current = 'closed';
    // Not tested by class: a system error may come from another realm than this code.
    const gaveUp = typeof error === 'object' && error !== null;
    if (gaveUp) this.reason = error as Error;
    const cause = new BackendUnavailableError(`the connection to NATS is closed for good${this.why}`, {
      cause: this.reason,
    });
    for (const observer of this.observers) observer.closed(cause, gaveUp);
  }

  private begin(state: ConnectionState): void {
    this.current = state;
    this.isKnown = true;
    this.since = this.clock.now();
  }

  private refused(error: Error): void {
    if (this.current !== 'disconnected' || this.refusal !== undefined) return;
    this.refusal = error;
    for (const observer of this.observers) observer.loginRefused(error);
  }
}

/** The error in a status event of either client: 3.x gives the error, 2.x its code. */
export function errorOf(event: object): Error | undefined {
  const { error, data } = event as { error?: unknown; data?: unknown };
  if (error instanceof Error) return error;
  return typeof data === 'string' ? Object.assign(new Error(data), { code: data }) : undefined;
}

/** The server named in a status event of either client: `host:port`. */
export function serverOf(event: object): string {
  const { server, data } = event as { server?: unknown; data?: unknown };
  return typeof server === 'string' ? server : typeof data === 'string' ? data : 'an unknown server';
}
