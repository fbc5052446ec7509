import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SpanStatusCode, context, metrics, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { type DispatcherEvents, LocalDispatcher, type PermitEvents } from '../../src';
import { eventually } from '../support/eventually';

let dispatcher: LocalDispatcher;

beforeEach(() => {
  dispatcher = new LocalDispatcher({ ttl: 1_000 });
});

afterEach(() => dispatcher.close());

describe('events of a dispatcher', () => {
  function listen(): [keyof DispatcherEvents, object][] {
    const heard: [keyof DispatcherEvents, object][] = [];
    for (const event of ['acquired', 'refused', 'released', 'lost'] as const)
      dispatcher.on(event, (detail) => heard.push([event, detail]));
    return heard;
  }

  it('tell of every acquire and of what became of the permit', async () => {
    const heard = listen();
    const pool = dispatcher.semaphore('pool', 2);
    const permit = await pool.acquire({ count: 2 });
    await expect(pool.acquire({ timeout: 20 })).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
    await permit.release();
    const about = { kind: 'semaphore', name: 'pool' };
    const granted = { ...about, permitId: permit.id, count: 2 };
    expect(heard).toEqual([
      ['acquired', { ...granted, waitedMs: expect.any(Number) }],
      [
        'refused',
        {
          ...about,
          waitedMs: expect.any(Number),
          error: expect.objectContaining({ code: 'ACQUIRE_TIMEOUT' }),
        },
      ],
      ['released', { ...granted, heldMs: expect.any(Number) }],
    ]);
    expect((heard[1]?.[1] as DispatcherEvents['refused']).waitedMs).toBeGreaterThanOrEqual(19);
  });

  it('tell of a loss, on the dispatcher and on the permit', async () => {
    const heard = listen();
    const mutex = dispatcher.mutex('m');
    const permit = await mutex.acquire();
    const own: object[] = [];
    permit.on('lost', (detail) => own.push(detail));
    expect(await mutex.forceRelease(permit.id)).toBe(true);
    await eventually(() => expect(own).toHaveLength(1));
    const error = expect.objectContaining({ code: 'PERMIT_LOST' });
    expect(own).toEqual([{ error }]);
    expect(heard[1]).toEqual(['lost', expect.objectContaining({ permitId: permit.id, error })]);
    expect(heard).toHaveLength(2);
  });

  it('tell of renewals and of the release on the permit; who stops listening hears no more', async () => {
    const lock = dispatcher.readWriteLock('l');
    const permit = await lock.write.acquire();
    const heard: string[] = [];
    const note = (event: keyof PermitEvents) => () => heard.push(event);
    const stop = permit.on('renewed', note('renewed'));
    permit.on('released', note('released'));
    await permit.renew();
    stop();
    await permit.renew();
    await permit.release();
    expect(heard).toEqual(['renewed', 'released']);
  });
});

describe('OpenTelemetry', () => {
  const spans = new InMemorySpanExporter();
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 60_000 });

  beforeAll(() => {
    trace.setGlobalTracerProvider(
      new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }),
    );
    metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  });

  beforeEach(() => {
    spans.reset();
    exporter.reset();
  });

  afterAll(async () => {
    await reader.shutdown();
    trace.disable();
    metrics.disable();
    context.disable();
  });

  /** Values of one metric by attributes: those of counters, and of histograms how many there were. */
  async function valuesOf(name: string, semaphore: string): Promise<Record<string, number>> {
    await reader.forceFlush();
    const all =
      exporter
        .getMetrics()
        .at(-1)
        ?.scopeMetrics.flatMap((scope) => scope.metrics) ?? [];
    const points = all.find(({ descriptor }) => descriptor.name === name)?.dataPoints ?? [];
    return Object.fromEntries(
      points
        .filter(({ attributes }) => attributes['semaphore.name'] === semaphore)
        .map(({ attributes, value }) => [
          [attributes['semaphore.kind'], attributes['semaphore.mode'], attributes.outcome]
            .filter((word) => word !== undefined)
            .join(' '),
          typeof value === 'number' ? value : value.count,
        ]),
    );
  }

  it('counts what is held, waited for, renewed and lost', async () => {
    const pool = dispatcher.semaphore('metered', 2);
    const permit = await pool.acquire({ count: 2 });
    const refused = pool.acquire({ timeout: 50 });
    expect(await valuesOf('nats_semaphore.slots.held', 'metered')).toEqual({ semaphore: 2 });
    expect(await valuesOf('nats_semaphore.acquires.waiting', 'metered')).toEqual({ semaphore: 1 });
    await expect(refused).rejects.toThrow();
    await permit.renew();
    await permit.release(1);
    expect(await valuesOf('nats_semaphore.slots.held', 'metered')).toEqual({ semaphore: 1 });
    const next = pool.acquire({ count: 2 });
    await permit.release();
    const last = await next;
    await pool.forceRelease(last.id);
    await eventually(() => expect(last.isHeld).toBe(false));
    expect(await valuesOf('nats_semaphore.slots.held', 'metered')).toEqual({ semaphore: 0 });
    expect(await valuesOf('nats_semaphore.acquires.waiting', 'metered')).toEqual({ semaphore: 0 });
    expect(await valuesOf('nats_semaphore.acquire.duration', 'metered')).toEqual({
      'semaphore granted': 2,
      'semaphore timeout': 1,
    });
    expect(await valuesOf('nats_semaphore.hold.duration', 'metered')).toEqual({
      'semaphore released': 1,
      'semaphore lost': 1,
    });
    expect(await valuesOf('nats_semaphore.renewals', 'metered')).toEqual({ 'semaphore acknowledged': 1 });
    expect(await valuesOf('nats_semaphore.permits.lost', 'metered')).toEqual({ semaphore: 1 });
    expect(await valuesOf('nats_semaphore.hand_over.duration', 'metered')).toEqual({ semaphore: 1 });
  });

  it('puts spans under that of the caller, also when the SDK came after the dispatcher', async () => {
    const lock = dispatcher.readWriteLock('traced');
    const tracer = trace.getTracer('test');
    await tracer.startActiveSpan('request', async (request) => {
      const permit = await lock.read.acquire();
      const writing = lock.write.acquire({ signal: AbortSignal.timeout(20) });
      await expect(writing).rejects.toThrow();
      await permit.renew();
      await permit.release();
      request.end();
      const { traceId, spanId } = request.spanContext();
      const own = spans.getFinishedSpans().filter(({ name }) => name.startsWith('semaphore.'));
      expect(
        own.map((span) => [
          span.name,
          span.attributes['semaphore.mode'],
          span.attributes.outcome,
          span.status.code,
          span.parentSpanContext?.spanId === spanId && span.spanContext().traceId === traceId,
        ]),
      ).toEqual([
        ['semaphore.acquire', 'read', 'granted', SpanStatusCode.UNSET, true],
        ['semaphore.acquire', 'write', 'aborted', SpanStatusCode.ERROR, true],
        ['semaphore.hold', 'read', 'released', SpanStatusCode.UNSET, true],
      ]);
      expect(own[0]?.attributes).toMatchObject({
        'semaphore.name': 'traced',
        'semaphore.kind': 'read-write-lock',
        'semaphore.permit.id': permit.id,
        'semaphore.fencing_token': String(permit.fencingToken),
      });
      expect(own[2]?.events.map(({ name }) => name)).toEqual(['renewal']);
    });
  });
});
