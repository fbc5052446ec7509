import type { Attributes } from '@opentelemetry/api';
import type { IAttributesProcessor } from '@opentelemetry/sdk-metrics';

const NAME = 'semaphore.name';
/** The label under which all names beyond the bound are counted. */
export const OTHER_NAMES = '(other)';

/** Bounds the time series: each name of a primitive is some dozens, and callers choose the names. The first names that are seen keep theirs. */
export class MetricNames implements IAttributesProcessor {
  private readonly known = new Set<string>();

  constructor(private readonly most: number) {}

  readonly process = (incoming: Attributes): Attributes => {
    const name = incoming[NAME];
    if (typeof name !== 'string' || this.known.has(name)) return incoming;
    if (this.known.size >= this.most) return { ...incoming, [NAME]: OTHER_NAMES };
    this.known.add(name);
    return incoming;
  };
}
