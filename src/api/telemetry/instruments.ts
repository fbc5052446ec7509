import {
  type Counter,
  type Histogram,
  type Meter,
  type UpDownCounter,
  createNoopMeter,
  metrics,
} from '@opentelemetry/api';
import { SCOPE } from './scope';

/** Seconds: from a local hand-off to a waiter that waits for minutes. */
const SECONDS = [
  0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
];

export interface Instruments {
  readonly acquire: Histogram;
  readonly hold: Histogram;
  readonly handOver: Histogram;
  readonly waiting: UpDownCounter;
  readonly held: UpDownCounter;
  readonly lost: Counter;
  readonly renewals: Counter;
}

/** The metrics, as docs/telemetry.md lists them. */
function instrumentsOf(meter: Meter): Instruments {
  const advice = { explicitBucketBoundaries: SECONDS };
  return {
    acquire: meter.createHistogram('nats_semaphore.acquire.duration', {
      description: 'From the call to acquire to its end, with or without a permit',
      unit: 's',
      advice,
    }),
    hold: meter.createHistogram('nats_semaphore.hold.duration', {
      description: 'From the grant of a permit to its release or loss',
      unit: 's',
      advice,
    }),
    handOver: meter.createHistogram('nats_semaphore.hand_over.duration', {
      description:
        'For those who had to wait: from when this process knew that the slot was free to the grant',
      unit: 's',
      advice,
    }),
    waiting: meter.createUpDownCounter('nats_semaphore.acquires.waiting', {
      description: 'Acquires under way in this process',
      unit: '{acquire}',
    }),
    held: meter.createUpDownCounter('nats_semaphore.slots.held', {
      description: 'Slots that permits of this process hold',
      unit: '{slot}',
    }),
    lost: meter.createCounter('nats_semaphore.permits.lost', {
      description: 'Permits that were lost before they were released',
      unit: '{permit}',
    }),
    renewals: meter.createCounter('nats_semaphore.renewals', {
      description: 'Renewals of permits, by outcome',
      unit: '{renewal}',
    }),
  };
}

const none = createNoopMeter();
let meter: Meter = none;
let instruments: Instruments | undefined;

/** Undefined while no metrics SDK is registered. An SDK may come at any time, also after the first acquire. */
export function instrumentsNow(): Instruments | undefined {
  const now = metrics.getMeter(SCOPE);
  if (now !== meter) {
    meter = now;
    instruments = now === none ? undefined : instrumentsOf(now);
  }
  return instruments;
}
