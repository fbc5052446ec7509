import type { Clock } from '../../runtime/clock';
import { BackendUnavailableError } from '../../errors';
import { isLoginRefused } from './failure';

/** `closed`: for good, by whoever owns the connection or because the client has given up. */
export type ConnectionState = 'connected' | 'disconnected' | 'closed';

/** What the server said so long before the connection was lost is not why, in ms. */
const REASON_MS = 1_000;

/** Told of what happens to a connection. */
export interface ContactObserver {
  /** The connection was lost; the client tries to reconnect. */
  disconnected(cause: Error): void;
  /** The server refuses the login; the client tries again. Once for each time that the connection is lost. */
  loginRefused(error: Error): void;
  reconnected(afterMs: number): void;
  /** @param gaveUp whether the client closed it, and not its owner */
  closed(cause: Error, gaveUp: boolean): void;
}

/** Whether a connection stands, since when it does not, and why. */
export class Contact {
  private current: ConnectionState = 'connected';
  /** False for a connection that was handed over while the client reconnects: only the next event tells. */
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

  /** For how long there has been no connection, in ms; 0 while there is one. */
  get goneMs(): number {
    return this.current === 'connected' ? 0 : this.clock.now() - this.since;
  }

  /** What the client or the server said last of why there is no connection: `: Authorization Violation`, or nothing. */
  get why(): string {
    return this.reason === undefined || this.reason.message === '' ? '' : `: ${this.reason.message}`;
  }

  /** Returns how to stop observing. */
  observe(observer: ContactObserver): () => void {
    this.observers.add(observer);
    return () => this.observers.delete(observer);
  }

  /** Nobody is told any more. */
  forgetObservers(): void {
    this.observers.clear();
  }

  /** The client reports an error. While there is no connection, and just before it goes, that is the reason. */
  heard(error: Error): void {
    this.reason = error;
    this.reasonAt = this.clock.now();
    if (isLoginRefused(error)) this.refused(error);
  }

  /** @param server that the connection was to */
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

  /** Returns whether that is news: the client says so once for each attempt that it has made. */
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

  /** @param error why the client gave up; undefined if the owner closed it */
  ended(error: unknown): void {
    if (this.current === 'connected') this.begin('closed');
    this.current = 'closed';
    // Not by class: an error of the system's may be of another realm than this code.
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

/** What a status event of either client says of an error: 3.x gives the error, 2.x its code. */
export function errorOf(event: object): Error | undefined {
  const { error, data } = event as { error?: unknown; data?: unknown };
  if (error instanceof Error) return error;
  return typeof data === 'string' ? Object.assign(new Error(data), { code: data }) : undefined;
}

/** The server that a status event of either client names: `host:port`. */
export function serverOf(event: object): string {
  const { server, data } = event as { server?: unknown; data?: unknown };
  return typeof server === 'string' ? server : typeof data === 'string' ? data : 'an unknown server';
}
