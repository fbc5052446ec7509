import type { Clock } from '../runtime/clock';
import { checkRoom } from './limits';
import type { Permits } from './permits';
import { Problem, notFound } from './problem';
import { newSecret } from './secret';
import { Session } from './session';

/** How many ended sessions to remember, to tell "ended" from "never heard of". */
const REMEMBERED = 10_000;

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
