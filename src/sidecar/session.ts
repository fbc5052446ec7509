import { type Clock, atDeadline, isoTime } from '../runtime/clock';
import { Problem } from './problem';

export interface SessionView {
  readonly id: string;
  readonly ttl: number;
  readonly expiresAt: string | null;
  readonly permits: string[];
}

/** What a session's stream tells. */
export interface SessionListener {
  lost(permit: { id: string; permitId: string; kind: string; name: string; reason: string }): void;
  ended(reason: string): void;
}

/** A caller that holds permits for as long as it is there. */
export class Session {
  private readonly permits = new Set<string>();
  private readonly listeners = new Set<SessionListener>();
  private readonly ending = new AbortController();
  private cancelExpiry = (): void => undefined;
  private lastSign: number;

  /** @param expired told when there was no sign of life, or the last listener left */
  constructor(
    private readonly clock: Clock,
    readonly id: string,
    readonly ttl: number,
    private readonly expired: (reason: string) => Promise<void>,
  ) {
    this.lastSign = clock.now();
    this.watch();
  }

  /** Aborts when it ends. */
  get signal(): AbortSignal {
    return this.ending.signal;
  }

  view(): SessionView {
    const left = this.ttl - (this.clock.now() - this.lastSign);
    return {
      id: this.id,
      ttl: this.ttl,
      expiresAt: this.listeners.size > 0 ? null : isoTime(this.clock.wallTime() + left),
      permits: [...this.permits],
    };
  }

  /** A sign of life. */
  keepAlive(): void {
    this.lastSign = this.clock.now();
    this.watch();
  }

  /** Lasts as long as somebody listens. Returns how to stop. */
  listen(listener: SessionListener): () => void {
    this.listeners.add(listener);
    this.watch();
    return () => {
      if (!this.listeners.delete(listener) || this.listeners.size > 0) return;
      void this.expired('its stream was closed');
    };
  }

  take(permit: string): void {
    this.permits.add(permit);
  }

  drop(permit: string): void {
    this.permits.delete(permit);
  }

  lost(id: string, permitId: string, { kind, name }: { kind: string; name: string }, reason: string): void {
    for (const listener of this.listeners) listener.lost({ id, permitId, kind, name, reason });
  }

  /** Returns what it held. */
  end(reason: string): string[] {
    this.cancelExpiry();
    const listeners = [...this.listeners];
    this.listeners.clear();
    for (const listener of listeners) listener.ended(reason);
    this.ending.abort(new Problem(410, 'SESSION_ENDED', `the session has ended: ${reason}`));
    return [...this.permits];
  }

  private watch(): void {
    this.cancelExpiry();
    if (this.listeners.size > 0 || this.ending.signal.aborted) return;
    this.cancelExpiry = atDeadline(
      this.clock,
      this.ttl,
      () => void this.expired(`no sign of life for ${this.ttl} ms`),
    );
  }
}
