import { InvalidArgumentError } from 'commander';
import ms, { type StringValue } from 'ms';

/** A number and its unit. `ms` alone would take "30" for milliseconds, and "1 year". */
const DURATION = /^\d+(\.\d+)?(ms|s|m|h|d)$/;

/** Milliseconds of a duration as people write it: `500ms`, `30s`, `1.5m`, `2h`, `1d`. Zero needs no unit. */
export function parseDuration(text: string): number {
  if (text === '0') return 0;
  if (!DURATION.test(text)) {
    throw new InvalidArgumentError('A duration is a number and a unit: 500ms, 30s, 5m, 2h, 1d.');
  }
  return Math.round(ms(text as StringValue));
}

/** The same for people to read, rounded: `850ms`, `12s`, `3m`. */
export function formatDuration(value: number): string {
  return ms(Math.round(value));
}
