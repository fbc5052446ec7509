import type { Clock } from '../../core/clock';
import type { Message, NatsConnection, Subscription } from './connection';
import { RequestFailure, failureKind } from './failure';

interface RequestSettings {
  timeout: number;
  headers?: unknown;
}

/**
 * A connection, and what is known of its health. Requests over it fail as soon as the connection is lost, with their
 * outcome unknown, instead of waiting out their timeout for an answer that can not come.
 */
export class Link {
  private readonly reconnected = new Set<() => void>();
  private readonly disconnected = new Set<() => void>();
  /** Those who wait for a live connection. */
  private readonly waiting = new Set<() => void>();
  private up = true;
  private failure: Error | undefined;
  private refusal: Error | undefined;
  private readonly denied = new Set<(subject: string) => void>();
  private stopStatus: (() => void) | undefined;

  constructor(
    readonly connection: NatsConnection,
    private readonly clock: Clock,
  ) {
    void this.followStatus();
    void connection.closed().then(
      () => this.ended(),
      () => this.ended(),
    );
  }

  /** Why nothing can be sent now; undefined while the connection stands, as far as the client has noticed. */
  down(): Error | undefined {
    if (this.connection.isClosed()) return new RequestFailure('closed', 'the NATS connection is closed');
    if (!this.up) return new RequestFailure('silent', 'the NATS connection is down and reconnecting');
    return undefined;
  }

  /** Why the other side seems out of reach: {@link Link.down}, or the last request failed. */
  trouble(): Error | undefined {
    return this.down() ?? this.failure;
  }

  /** Whether the connection stands, as far as the client has noticed. */
  get isUp(): boolean {
    return this.up && !this.connection.isClosed();
  }

  /** Calls back after every reconnect, and when messages may have been dropped. Returns how to stop that. */
  onReconnect(callback: () => void): () => void {
    this.reconnected.add(callback);
    return () => this.reconnected.delete(callback);
  }

  /** Calls back with each subject that the server refuses this user to publish to. Returns how to stop that. */
  onDenied(callback: (subject: string) => void): () => void {
    this.denied.add(callback);
    return () => this.denied.delete(callback);
  }

  /** @throws RequestFailure; other errors as the client throws them */
  async request(subject: string, payload: Uint8Array, settings: RequestSettings): Promise<Message> {
    return this.exchange(() =>
      this.connection.request(subject, payload, settings as { timeout: number; headers?: never }),
    );
  }

  /** One exchange with the server, whatever it consists of, cut short when the connection is lost. */
  async exchange<T>(send: () => Promise<T>): Promise<T> {
    if (this.connection.isClosed()) throw new RequestFailure('closed', 'the NATS connection is closed');
    let cut: (() => void) | undefined;
    const lost = new Promise<never>((_, reject) => {
      cut = () => reject(new RequestFailure('silent', 'the NATS connection was lost'));
      this.disconnected.add(cut);
    });
    lost.catch(() => undefined);
    try {
      const answer = await Promise.race([send(), lost]);
      this.failure = undefined;
      return answer;
    } catch (error) {
      const kind = failureKind(error);
      if (kind === undefined) throw error;
      const failure =
        error instanceof RequestFailure ? error : new RequestFailure(kind, messageOf(error), error);
      if (kind !== 'denied') this.failure = failure;
      throw failure;
    } finally {
      if (cut) this.disconnected.delete(cut);
    }
  }

  /** On a closed connection there is nothing to hear, and that is no reason to fail here: requests will say so. */
  subscribe(subject: string, callback: (message: Message) => void): Subscription {
    if (this.connection.isClosed()) return { unsubscribe: () => undefined };
    return this.connection.subscribe(subject, {
      callback: (error: Error | null, message: Message) => {
        if (error === null || error === undefined) callback(message);
        else if (failureKind(error) === 'denied') {
          this.refusal = new RequestFailure('denied', messageOf(error), error);
        }
      },
    });
  }

  /**
   * Fails if the server refused this user a subscription: nothing that must be heard would be. It tells so before it answers
   * any request made after subscribing.
   * @throws RequestFailure
   */
  checkSubscriptions(): void {
    if (this.refusal !== undefined) throw this.refusal;
  }

  /** Waits for a live connection, at most `ms`, or until `signal` aborts. */
  whenUp(ms: number, signal?: AbortSignal): Promise<void> {
    if (this.up || this.connection.isClosed()) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.waiting.delete(done);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const cancel = this.clock.after(ms, done, { keepAlive: true });
      this.waiting.add(done);
      signal?.addEventListener('abort', done, { once: true });
    });
  }

  /** Stops following the connection, and waiting for it. Does not close it. */
  detach(): void {
    this.stopStatus?.();
    this.reconnected.clear();
    for (const done of [...this.waiting]) done();
  }

  private async followStatus(): Promise<void> {
    const events = this.connection.status();
    this.stopStatus = () => (events as { stop?: () => void }).stop?.();
    for await (const event of events) {
      const { type } = event;
      if (type === 'disconnect') {
        this.up = false;
        for (const cut of [...this.disconnected]) cut();
      } else if (type === 'reconnect') {
        this.up = true;
        this.failure = undefined;
        for (const callback of [...this.reconnected, ...this.waiting]) callback();
      } else if (type === 'slowConsumer') {
        for (const callback of [...this.reconnected]) callback();
      } else if (type === 'error') {
        const subject = deniedSubject(event);
        if (subject !== undefined) for (const callback of [...this.denied]) callback(subject);
      }
    }
  }

  /** The connection was closed for good: all who wait for it learn so. */
  private ended(): void {
    this.up = false;
    for (const cut of [...this.disconnected]) cut();
    for (const callback of [...this.reconnected, ...this.waiting]) callback();
  }
}

interface Refused {
  readonly operation?: string;
  readonly subject?: string;
}

/** The subject that may not be published to, if that is what an error is about: 3.x says so in one way, 2.x in another. */
function deniedSubject(event: object): string | undefined {
  const { error, permissionContext } = event as { error?: Refused; permissionContext?: Refused };
  const { operation, subject } = error ?? permissionContext ?? {};
  return operation === 'publish' ? subject : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
