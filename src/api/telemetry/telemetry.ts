import {
  type Attributes,
  type Context as TraceContext,
  type Span,
  SpanStatusCode,
  context as tracing,
  trace,
} from '@opentelemetry/api';
import type { Clock } from '../../runtime/clock';
import type { Lease, LeaseWatcher } from '../../lease/lease';
import type { PermitLostError } from '../../errors';
import type { DispatcherEvents, Events, PermitRef, PrimitiveRef } from '../events';
import { type Instruments, instrumentsNow } from './instruments';
import { warnOnce } from '../../runtime/warning';
import { SCOPE } from './scope';

/** An acquire to follow. */
export interface Asked extends PrimitiveRef {
  /** Of a read-write lock. */
  readonly mode?: 'read' | 'write' | undefined;
  /** The signal with which the caller may abort. */
  readonly signal?: AbortSignal | undefined;
}

const tracer = trace.getTracer(SCOPE);
const OUTCOMES: Record<string, string> = {
  ACQUIRE_TIMEOUT: 'timeout',
  BACKEND_UNAVAILABLE: 'unavailable',
  DISPATCHER_CLOSED: 'closed',
};

/**
 * Reports what a dispatcher does: to the OpenTelemetry SDK, if the program has registered one, and to the listeners of its events. Without
 * either, an acquire costs one check and is not followed.
 */
export class Telemetry {
  constructor(
    private readonly clock: Clock,
    private readonly events: Events<DispatcherEvents>,
  ) {}

  /** Follows an acquire, and then the permit that it returns. */
  follow(asked: Asked, acquiring: () => Promise<Lease>): Promise<Lease> {
    const instruments = instrumentsNow();
    const span = tracer.startSpan('semaphore.acquire', { attributes: attributesOf(asked) });
    const isFollowed = instruments !== undefined || span.isRecording() || this.isHeard;
    return isFollowed ? this.tell(asked, acquiring, span, instruments) : acquiring();
  }

  /** A release failed and no caller learns of it. @param attached whether the error of the work carries it */
  releaseFailed({ kind, name }: PrimitiveRef, permitId: string, error: unknown, attached: boolean): void {
    if (this.events.tell('releaseFailed', { kind, name, permitId, error }) || attached) return;
    const reason = error instanceof Error ? error.message : String(error);
    warnOnce(
      'NATS_SEMAPHORE_RELEASE_FAILED',
      `${kind} ${name}`,
      `a permit of the ${kind} ${JSON.stringify(name)} could not be released after its work: ${reason}. ` +
        'The event "releaseFailed" of the dispatcher tells of each',
    );
  }

  /** Work has ended well under a permit that was lost, and has not checked for the loss. */
  lossUnnoticed({ kind, name }: PrimitiveRef, { message }: PermitLostError): void {
    if (this.events.has('lost')) return;
    warnOnce(
      'NATS_SEMAPHORE_LOSS_UNNOTICED',
      `${kind} ${name}`,
      `work under the ${kind} ${JSON.stringify(name)} went on without its permit, perhaps beside another holder, and did not look: ` +
        `${message}. To be strict, pass permit.signal on or call permit.signal.throwIfAborted() before each step that matters, ` +
        'and let the resource check permit.fencingToken. The event "lost" of the dispatcher tells of each loss',
    );
  }

  private async tell(
    asked: Asked,
    acquiring: () => Promise<Lease>,
    span: Span,
    instruments: Instruments | undefined,
  ): Promise<Lease> {
    const from = this.clock.now();
    const attributes = attributesOf(asked);
    const parent = tracing.active();
    instruments?.waiting.add(1, attributes);
    let outcome = 'granted';
    try {
      const lease = await acquiring();
      const { freeSince } = lease;
      if (freeSince !== undefined && freeSince > from)
        instruments?.handOver.record(this.secondsSince(freeSince), attributes);
      const permit = { kind: asked.kind, name: asked.name, permitId: lease.id, count: lease.held.length };
      span.setAttributes({
        'semaphore.permit.id': lease.id,
        'semaphore.fencing_token': String(lease.token),
      });
      lease.watch(new PermitStory(this.clock, this.events, permit, attributes, parent));
      this.events.tell('acquired', { ...permit, waitedMs: this.clock.now() - from });
      return lease;
    } catch (error) {
      outcome = outcomeOf(asked, error);
      span.setStatus({ code: SpanStatusCode.ERROR, message: String(error) });
      const { kind, name } = asked;
      this.events.tell('refused', { kind, name, waitedMs: this.clock.now() - from, error });
      throw error;
    } finally {
      const ended = { ...attributes, outcome };
      instruments?.waiting.add(-1, attributes);
      instruments?.acquire.record(this.secondsSince(from), ended);
      span.setAttribute('outcome', outcome);
      span.end();
    }
  }

  private get isHeard(): boolean {
    return this.events.has('acquired', 'refused', 'released', 'lost');
  }

  private secondsSince(from: number): number {
    return (this.clock.now() - from) / 1_000;
  }
}

/** Follows one permit to its end. */
class PermitStory implements LeaseWatcher {
  private readonly instruments = instrumentsNow();
  private readonly span: Span;
  private readonly from: number;
  private held: number;

  constructor(
    private readonly clock: Clock,
    private readonly events: Events<DispatcherEvents>,
    private readonly permit: PermitRef,
    private readonly attributes: Attributes,
    parent: TraceContext,
  ) {
    this.from = clock.now();
    this.held = permit.count;
    const own = { ...attributes, 'semaphore.permit.id': permit.permitId };
    this.span = tracer.startSpan('semaphore.hold', { attributes: own }, parent);
    this.instruments?.held.add(this.held, attributes);
  }

  renewed(acknowledged: boolean): void {
    const outcome = acknowledged ? 'acknowledged' : 'failed';
    this.instruments?.renewals.add(1, { ...this.attributes, outcome });
    this.span.addEvent('renewal', { outcome });
  }

  gaveBack(count: number): void {
    this.held -= count;
    this.instruments?.held.add(-count, this.attributes);
  }

  released(): void {
    this.events.tell('released', { ...this.permit, heldMs: this.end('released') });
  }

  lost(error: PermitLostError): void {
    this.instruments?.lost.add(1, this.attributes);
    this.span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
    this.events.tell('lost', { ...this.permit, heldMs: this.end('lost'), error });
  }

  private end(outcome: string): number {
    const heldMs = this.clock.now() - this.from;
    this.gaveBack(this.held);
    this.instruments?.hold.record(heldMs / 1_000, { ...this.attributes, outcome });
    this.span.setAttribute('outcome', outcome);
    this.span.end();
    return heldMs;
  }
}

function attributesOf({ kind, name, mode }: Asked): Attributes {
  return {
    'semaphore.kind': kind,
    'semaphore.name': name,
    ...(mode === undefined ? {} : { 'semaphore.mode': mode }),
  };
}

function outcomeOf({ signal }: Asked, error: unknown): string {
  if (signal?.aborted === true && signal.reason === error) return 'aborted';
  const code = (error as { code?: unknown } | undefined)?.code;
  return (typeof code === 'string' ? OUTCOMES[code] : undefined) ?? 'error';
}
