import type { Permit } from '../api/permit';
import { type Clock, isoTime } from '../runtime/clock';
import { onAbort } from '../runtime/on-abort';
import { Problem, notFound } from './problem';
import { newSecret } from './secret';
import type { Session } from './session';

/** What a caller asked for. */
export interface Terms {
  readonly kind: 'semaphore' | 'mutex' | 'read-write-lock';
  readonly name: string;
  readonly mode?: 'read' | 'write';
  readonly ttl: number;
  readonly session: Session | undefined;
}

/** A permit as its caller sees it. */
export interface PermitView {
  /** Names it to this sidecar. A secret of its caller: to know it is the right to renew and release. */
  readonly id: string;
  /** Names it to everybody: in the status, and to operators. */
  readonly permitId: string;
  readonly kind: Terms['kind'];
  readonly name: string;
  readonly mode?: 'read' | 'write';
  readonly slots: number[];
  readonly fencingToken: string;
  readonly ttl: number;
  /** Ms until it is lost unless it is renewed. */
  readonly remaining: number;
  readonly expiresAt: string;
  /** Whether it lasts as long as a session does. */
  readonly session: boolean;
}

interface Held {
  readonly id: string;
  readonly permit: Permit;
  readonly terms: Terms;
  ttl: number;
}

/** How many ended permits to remember, to tell "lost" and "released" from "never heard of". */
const REMEMBERED = 10_000;

/** What callers of this sidecar hold, by secrets that only they know. */
export class Permits {
  private readonly held = new Map<string, Held>();
  private readonly ended = new Map<string, 'lost' | 'released'>();
  private empty = (): void => undefined;

  constructor(private readonly clock: Clock) {}

  get size(): number {
    return this.held.size;
  }

  add(permit: Permit, terms: Terms): PermitView {
    const id = newSecret();
    const held: Held = { id, permit, terms, ttl: terms.ttl };
    this.held.set(id, held);
    terms.session?.take(id);
    const lost = (): void => {
      if (!this.forget(id, 'lost')) return;
      terms.session?.lost(id, permit.id, terms, (permit.signal.reason as Error).message);
    };
    onAbort(permit.signal, lost);
    return this.view(held);
  }

  /** @throws Problem: 404 if it was never here, 410 if it is not held any more */
  show(id: string): PermitView {
    return this.view(this.get(id));
  }

  /** @throws Problem, PermitLostError, BackendUnavailableError, RangeError for the ttl */
  async renew(id: string, ttl: number | undefined): Promise<PermitView> {
    const held = this.get(id);
    await held.permit.renew(ttl);
    if (ttl !== undefined) held.ttl = ttl;
    return this.view(held);
  }

  /**
   * Gives back all slots, or some. Asking again is no error, so that a caller whose answer was lost can ask again.
   * @throws Problem: 404 if it was never here, 410 if it was lost before
   */
  async release(id: string, count?: number): Promise<boolean> {
    if (this.ended.get(id) === 'released') return false;
    const { permit } = this.get(id);
    const all = count === undefined || count === permit.count;
    // Out of the list at once: it must not be told as lost, or renewed, while it is being given back.
    if (all) this.forget(id, 'released');
    return permit.release(all ? undefined : count);
  }

  /** Gives back whatever of these is still held. Resolves when the server has it, or can not be reached. */
  async releaseAll(ids: Iterable<string> = [...this.held.keys()]): Promise<void> {
    const permits = [...ids].flatMap((id) => {
      const held = this.held.get(id);
      this.forget(id, 'released');
      return held === undefined ? [] : [held.permit];
    });
    await Promise.all(permits.map((permit) => permit[Symbol.asyncDispose]()));
  }

  /** Resolves when nothing is held. */
  async allGone(): Promise<void> {
    if (this.held.size > 0) await new Promise<void>((resolve) => (this.empty = resolve));
  }

  private get(id: string): Held {
    const held = this.held.get(id);
    if (held !== undefined) return held;
    const how = this.ended.get(id);
    if (how === undefined) throw notFound('there is no such permit here');
    throw new Problem(410, how === 'lost' ? 'PERMIT_LOST' : 'PERMIT_RELEASED', `the permit was ${how}`);
  }

  private forget(id: string, how: 'lost' | 'released'): boolean {
    const held = this.held.get(id);
    if (held === undefined) return false;
    this.held.delete(id);
    held.terms.session?.drop(id);
    this.ended.set(id, how);
    if (this.ended.size > REMEMBERED) {
      for (const oldest of this.ended.keys()) {
        this.ended.delete(oldest);
        break;
      }
    }
    if (this.held.size === 0) this.empty();
    return true;
  }

  private view({ id, permit, terms, ttl }: Held): PermitView {
    const { kind, name, mode, session } = terms;
    const { remaining } = permit;
    return {
      id,
      permitId: permit.id,
      kind,
      name,
      ...(mode !== undefined && { mode }),
      slots: [...permit.slots],
      fencingToken: String(permit.fencingToken),
      ttl,
      remaining: Math.floor(remaining),
      expiresAt: isoTime(this.clock.wallTime() + remaining),
      session: session !== undefined,
    };
  }
}
