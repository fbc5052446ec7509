import { type Clock, atDeadline, isoTime } from '../runtime/clock';
import { checkRoom } from './limits';
import type { Permits, Terms } from './permits';
import { Problem, notFound } from './problem';
import { newSecret } from './secret';

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

/**
 * Callers that hold permits for as long as they are there. The id of a session is a secret of its caller. A session lasts while somebody listens to its stream, or while signs of
 * life come within its ttl; when it ends, whatever was acquired under it is released and whoever waits under it stops waiting.
 */
export class Sessions {
  private readonly all = new Map<string, Session>();
  private readonly ended = new Set<string>();

  constructor(
    private readonly clock: Clock,
    private readonly permits: Permits,
    private readonly most: number,
  ) {}

  get size(): number {
    return this.all.size;
  }

  /** @throws Problem 503 if there are as many as may be */
  open(ttl: number): Session {
    checkRoom('sessions', this.all.size, this.most);
    const session: Session = new Session(this.clock, newSecret(), ttl, (reason) => this.end(session, reason));
    this.all.set(session.id, session);
    return session;
  }

  /** @throws Problem: 410 if it has ended, 404 if it was never here */
  get(id: string): Session {
    const session = this.all.get(id);
    if (session !== undefined) return session;
    if (this.ended.has(id)) throw new Problem(410, 'SESSION_ENDED', 'the session has ended');
    throw notFound('there is no such session here');
  }

  /** Ends it and releases what it holds. */
  async close(id: string): Promise<void> {
    await this.end(this.get(id), 'it was closed');
  }

  async closeAll(reason: string): Promise<void> {
    await Promise.all([...this.all.values()].map((session) => this.end(session, reason)));
  }

  private async end(session: Session, reason: string): Promise<void> {
    if (!this.all.delete(session.id)) return;
    this.ended.add(session.id);
    if (this.ended.size > REMEMBERED) this.ended.delete([...this.ended][0] as string);
    const held = session.end(reason);
    await this.permits.releaseAll(held);
  }
}

const REMEMBERED = 10_000;

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

  lost(id: string, permitId: string, { kind, name }: Terms, reason: string): void {
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
