import { type Clock, atDeadline } from '../../runtime/clock';
import type { Aborting } from '../../runtime/cancellation';
import { onAbort } from '../../runtime/on-abort';
import { warnOnce } from '../../runtime/warning';
import type { Message, NatsConnection, Subscription } from './connection';
import { Contact, errorOf, serverOf } from './contact';
import { RequestFailure, failureKind } from './failure';
import { type Denial, Replies } from './replies';

/**
 * A connection, and what is known of its health. When the connection is lost, pending requests fail at once, with their
 * outcome unknown. They do not wait out their timeout for an answer that can not come.
 */
export class Link {
  private readonly reconnected = new Set<() => void>();
  private readonly disconnected = new Set<() => void>();
  /** Callbacks of callers that wait for a live connection. */
  private readonly waiting = new Set<() => void>();
  /** The state of the connection, for its observers. */
  readonly contact: Contact;
  private failure: Error | undefined;
  private refusal: Error | undefined;
  private readonly denials = new Set<(denial: Denial) => void>();
  /** Number of messages that could not be handled. It should stay 0. */
  failedMessages = 0;
  private stopStatus: (() => void) | undefined;
  private readonly replies: Replies;

  constructor(
    readonly connection: NatsConnection,
    private readonly clock: Clock,
  ) {
    this.replies = new Replies(connection, clock);
    this.contact = new Contact(clock);
    void this.followStatus();
    void connection.closed().then(
      (error) => this.ended(error),
      (error: unknown) => this.ended(error),
    );
  }

  /** Why nothing can be sent now; undefined while the client is connected, as far as it has noticed. */
  down(): Error | undefined {
    if (this.connection.isClosed()) return this.closedFailure();
    if (this.up) return undefined;
    return new RequestFailure('silent', `the NATS connection is down and reconnecting${this.contact.why}`);
  }

  /** Why the server seems out of reach: {@link Link.down}, or the failure of the last request. */
  trouble(): Error | undefined {
    return this.down() ?? this.failure;
  }

  /** Whether the client is connected, as far as it has noticed. */
  get isUp(): boolean {
    return this.up && !this.connection.isClosed();
  }

  private get up(): boolean {
    return this.contact.state === 'connected';
  }

  /** Calls back after every reconnect, and when messages may have been dropped. The returned function ends it. */
  onReconnect(callback: () => void): () => void {
    this.reconnected.add(callback);
    return () => this.reconnected.delete(callback);
  }

  /** Calls back when the server denies this user a permission. The returned function ends it. */
  onDenied(callback: (denial: Denial) => void): () => void {
    this.denials.add(callback);
    return () => this.denials.delete(callback);
  }

  /** @throws RequestFailure; other errors as the client throws them */
  request(
    subject: string,
    payload: Uint8Array,
    options: { timeout: number; headers?: unknown },
  ): Promise<Message> {
    return this.collect(subject, payload, options, (message) => message);
  }

  /**
   * A request with an answer of many messages.
   * @param take called with each message; the first value that it returns ends the answer and is the result
   * @throws RequestFailure; what `take` throws; other errors as the client throws them
   */
  async collect<T>(
    subject: string,
    payload: Uint8Array,
    { timeout, headers }: { timeout: number; headers?: unknown },
    take: (message: Message) => T | undefined,
  ): Promise<T> {
    this.checkOpen();
    try {
      const answer = await this.replies.collect(subject, payload, headers, timeout, take);
      this.failure = undefined;
      return answer;
    } catch (error) {
      throw this.noteFailure(error);
    }
  }

  /** One exchange with the server through the client's own API. It fails as soon as the connection is lost. */
  async exchange<T>(send: () => Promise<T>): Promise<T> {
    this.checkOpen();
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
      throw this.noteFailure(error);
    } finally {
      if (cut) this.disconnected.delete(cut);
    }
  }

  /** Subscribes. On a closed connection it does nothing and does not fail: later requests report the closed connection. */
  subscribe(subject: string, callback: (message: Message) => void): Subscription {
    if (this.connection.isClosed()) return { unsubscribe: () => undefined };
    return this.connection.subscribe(subject, {
      callback: (error: Error | null, message: Message) => {
        if (error === null || error === undefined) this.guarded(subject, callback, message);
        else if (failureKind(error) === 'denied') {
          this.refusal = new RequestFailure('denied', messageOf(error), error);
        }
      },
    });
  }

  /**
   * Runs a callback and catches its errors. If a callback throws, the client stops reading from the connection. No message, whatever
   * its content, may cause that.
   */
  private guarded(subject: string, callback: (message: Message) => void, message: Message): void {
    try {
      callback(message);
    } catch (error) {
      this.failedMessages++;
      warnOnce(
        'NATS_SEMAPHORE_MESSAGE_FAILED',
        subject,
        `a message under "${subject}" could not be handled and was ignored: ${messageOf(error)}`,
      );
    }
  }

  /**
   * Fails if the server refused this user a subscription, since needed messages would then be missed. The server reports the
   * refusal before it answers any request made after the subscription.
   * @throws RequestFailure
   */
  checkSubscriptions(): void {
    if (this.refusal !== undefined) throw this.refusal;
  }

  /** Waits for a live connection, at most `ms`, or until `signal` aborts. */
  whenUp(ms: number, signal?: Aborting): Promise<void> {
    if (this.up || this.connection.isClosed() || signal?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.waiting.delete(done);
        stop();
        resolve();
      };
      const cancel = atDeadline(this.clock, ms, done, { keepAlive: true });
      this.waiting.add(done);
      const stop = onAbort(signal, done);
    });
  }

  /** Stops following the connection and ends all waits for it. Does not close it. */
  detach(): void {
    this.stopStatus?.();
    this.replies.close();
    this.contact.forgetObservers();
    this.reconnected.clear();
    for (const done of [...this.waiting]) done();
  }

  private async followStatus(): Promise<void> {
    const events = this.connection.status();
    this.stopStatus = () => (events as { stop?: () => void }).stop?.();
    for await (const event of events) {
      const { type } = event;
      if (type === 'disconnect') {
        this.contact.lost(serverOf(event));
        this.cut();
      } else if (type === 'reconnect') {
        if (!this.contact.regained()) continue;
        this.failure = undefined;
        for (const callback of [...this.reconnected, ...this.waiting]) callback();
      } else if (type === 'slowConsumer') {
        for (const callback of [...this.reconnected]) callback();
      } else if (type === 'error') {
        const denial = denialOf(event);
        if (denial === undefined) {
          const error = errorOf(event);
          if (error !== undefined) this.contact.heard(error);
          continue;
        }
        this.replies.denied(denial);
        for (const callback of [...this.denials]) callback(denial);
      }
    }
  }

  /** Call when the connection is closed for good: it notifies every waiting caller. */
  private ended(error: unknown): void {
    this.contact.ended(error);
    this.cut();
    for (const callback of [...this.reconnected, ...this.waiting]) callback();
  }

  private cut(): void {
    this.replies.cut();
    for (const cut of [...this.disconnected]) cut();
  }

  private checkOpen(): void {
    if (this.connection.isClosed()) throw this.closedFailure();
  }

  private closedFailure(): RequestFailure {
    const what = 'the NATS connection is closed for good';
    return new RequestFailure('closed', `${what}${this.contact.why}. Make a new dispatcher with an open one`);
  }

  /** The error to throw for a request that failed. */
  private noteFailure(error: unknown): unknown {
    const kind = failureKind(error);
    if (kind === undefined) return error;
    const failure =
      error instanceof RequestFailure ? error : new RequestFailure(kind, messageOf(error), error);
    if (kind !== 'denied') this.failure = failure;
    return failure;
  }
}

/** The denial that a status event reports: the 3.x client gives an error with the details, the 2.x client only the details. */
function denialOf(event: object): Denial | undefined {
  const { error, permissionContext } = event as { error?: Error; permissionContext?: object };
  const details = (permissionContext ?? error) as { operation?: unknown; subject?: unknown } | undefined;
  if (typeof details?.operation !== 'string' || typeof details.subject !== 'string') return undefined;
  const { operation, subject } = details;
  return { operation, subject, message: `permissions violation for ${operation} to "${subject}"` };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
