import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type Attributes,
  type Counter,
  type Histogram,
  type UpDownCounter,
  metrics,
} from '@opentelemetry/api';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { MetricNames } from './metric-names';

/** What is counted by others and asked for when the metrics are read. */
export interface Gauges {
  permits(): number;
  sessions(): number;
  streams(): number;
}

const SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60];

/** The sidecar's metrics and the library's, as Prometheus reads them. */
export class Metrics {
  private readonly exporter = new PrometheusExporter({ preventServerStart: true });
  private readonly provider: MeterProvider;
  /** Whether the library's metrics come here. Where the program has a provider of its own, they go there. */
  private readonly global: boolean;
  private readonly requests: Histogram;
  private readonly waits: Histogram;
  private readonly waiting: UpDownCounter;
  private readonly dropped: Counter;

  /** @param mostNames how many names of primitives have time series of their own */
  constructor(gauges: Gauges, mostNames: number) {
    this.provider = new MeterProvider({
      readers: [this.exporter],
      views: [{ instrumentName: '*', attributesProcessors: [new MetricNames(mostNames)] }],
    });
    this.global = metrics.setGlobalMeterProvider(this.provider);
    const meter = this.provider.getMeter('nats-semaphore-sidecar');
    const advice = { explicitBucketBoundaries: SECONDS };
    this.requests = meter.createHistogram('nats_semaphore.sidecar.request.duration', {
      unit: 's',
      description: 'How long requests took, by route, method and status. Waiting for a permit is part of it.',
      advice,
    });
    this.waits = meter.createHistogram('nats_semaphore.sidecar.acquire.duration', {
      unit: 's',
      description: 'How long callers waited for a permit, by kind of primitive and outcome.',
      advice,
    });
    this.waiting = meter.createUpDownCounter('nats_semaphore.sidecar.waiting', {
      description: 'Callers that wait for a permit at this moment.',
    });
    this.dropped = meter.createCounter('nats_semaphore.sidecar.streams.dropped', {
      description: 'Event streams that were ended because their readers did not read.',
    });
    for (const [name, description] of [
      ['permits', 'Permits that callers hold through this sidecar.'],
      ['sessions', 'Sessions that are open.'],
      ['streams', 'Event streams that are open.'],
    ] as const) {
      meter
        .createObservableGauge(`nats_semaphore.sidecar.${name}`, { description })
        .addCallback((result) => result.observe(gauges[name]()));
    }
  }

  /** @param route as it is declared, not as it was asked for: names would make it a series each */
  requested(seconds: number, route: string, method: string, status: number): void {
    this.requests.record(seconds, { route, method, status });
  }

  waitBegan(): void {
    this.waiting.add(1);
  }

  waitEnded(seconds: number, attributes: Attributes): void {
    this.waiting.add(-1);
    this.waits.record(seconds, attributes);
  }

  streamDropped(): void {
    this.dropped.add(1);
  }

  write(request: IncomingMessage, response: ServerResponse): void {
    this.exporter.getMetricsRequestHandler(request, response);
  }

  async close(): Promise<void> {
    if (this.global) metrics.disable();
    await this.provider.shutdown();
  }
}
