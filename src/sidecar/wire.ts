import type { PrimitiveStatus } from '../api/overview';
import type { AnyStatus } from './schemas';
import type { Span } from './timeline';

/** What the event stream of everything says. Shared with the page. Times are ms since 1970 by the sidecar's clock. */
export interface SnapshotEvent {
  readonly now: number;
  readonly primitives: readonly AnyStatus[];
  /** Who held what in the last minutes, by key of the primitive. */
  readonly history: Readonly<Record<string, readonly Span[]>>;
}

export interface ChangeEvent {
  readonly now: number;
  readonly changed: readonly AnyStatus[];
  readonly gone: readonly { readonly kind: AnyStatus['kind']; readonly name: string }[];
}

export interface BackendEvent {
  readonly reachable: boolean;
  /** Why it is not. */
  readonly reason?: string;
}

/** A status as JSON has it: dates as ISO 8601, tokens as text, since they do not fit in a number. */
export function toWire(status: PrimitiveStatus): AnyStatus {
  return JSON.parse(toJson(status)) as AnyStatus;
}

export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? String(part) : part));
}
