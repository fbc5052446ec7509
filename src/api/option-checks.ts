import { MAX_TIMER_MS } from '../runtime/clock';
import { ACQUIRE, WATCH } from './known-options';
import { type OptionKeys, checkKeys } from './option-keys';
import { safetyMargin } from '../lease/lease';
import { MIN_TTL_MS, MAX_HOLDER_BYTES, MAX_METADATA_BYTES, MAX_SLOTS } from '../protocol/records';
import { MAX_MESSAGE_BYTES } from '../store/nats/stream-settings';
import { MAX_AT_ONCE } from '../protocol/records';
import type { LimitPolicy } from '../protocol/request';

import type { LockOptions } from './options';

export const DEFAULT_TTL_MS = 30_000;
const MAX_COUNT = 1_000_000_000;
const MAX_PREFIX_BYTES = 256;

/** `lock(5_000)` and `lock({ timeout: 5_000 })` mean the same. */
export function toAcquireOptions<Options extends LockOptions>(
  options: number | Options | undefined,
  keys: OptionKeys = ACQUIRE,
): Options {
  if (options === undefined) return {} as Options;
  if (typeof options === 'number') return checkKeys({ timeout: options } as Options, keys);
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`options must be a number of ms or an object, got ${show(options)}`);
  }
  return checkKeys(options, keys);
}

export function checkSlots(slots: unknown): number {
  return wholeNumber('slots', slots, 1, MAX_SLOTS);
}

/** @param most and what that is */
export function checkCount(count: unknown, most = MAX_AT_ONCE, what?: string): number {
  return wholeNumber('count', count, 1, most, what);
}

/** What a latch counts down from, or by. */
export function checkTotal(count: unknown): number {
  return wholeNumber('count', count, 1, MAX_COUNT);
}

export function checkDelta(delta: unknown): number {
  return wholeNumber('delta', delta, -MAX_SLOTS, MAX_SLOTS);
}

export function checkPermitId(permitId: unknown): string {
  if (typeof permitId !== 'string' || permitId === '') {
    throw new TypeError(`permitId must be a non-empty string, got ${show(permitId)}`);
  }
  return permitId;
}

export function checkLimitPolicy(policy: unknown): LimitPolicy {
  if (policy === undefined) return 'error';
  if (policy !== 'error' && policy !== 'adopt' && policy !== 'set') {
    throw new RangeError(`limitPolicy must be "error", "adopt" or "set", got ${show(policy)}`);
  }
  return policy;
}

export function checkOnUnavailable(value: unknown): 'reject' | 'local' {
  if (value === undefined) return 'reject';
  if (value === 'reject' || value === 'local') return value;
  throw new RangeError(`onUnavailable must be "reject" or "local", got ${show(value)}`);
}

export function checkTtl(ttl: unknown): number {
  return number('ttl', ttl, MIN_TTL_MS, MAX_TIMER_MS, 'ms');
}

export function checkForgetAfter(forgetAfter: unknown): number | undefined {
  if (forgetAfter === undefined) return undefined;
  return wholeNumber('forgetAfter', forgetAfter, MIN_TTL_MS, MAX_TIMER_MS);
}

export function checkRetain(retain: unknown): number {
  return number('retain', retain, 0, MAX_TIMER_MS, 'ms');
}

export function checkTimeout(timeout: unknown): number | undefined {
  if (timeout === undefined || timeout === Infinity) return undefined;
  return number('timeout', timeout, 0, Number.MAX_SAFE_INTEGER, 'ms');
}

export function checkSafetyMargin(margin: unknown, ttl: number): void {
  if (margin !== undefined) number('safetyMargin', margin, 0, MAX_TIMER_MS, 'ms');
  const used = safetyMargin(ttl, margin as number | undefined);
  if (used > ttl / 2) {
    throw new RangeError(
      `safetyMargin ${used} ms leaves less than half of the ttl of ${ttl} ms; raise the ttl or lower it`,
    );
  }
}

export function checkSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined) return undefined;
  if (
    typeof signal !== 'object' ||
    signal === null ||
    typeof (signal as AbortSignal).aborted !== 'boolean' ||
    typeof (signal as AbortSignal).addEventListener !== 'function' ||
    typeof (signal as AbortSignal).removeEventListener !== 'function'
  ) {
    throw new TypeError(`signal must be an AbortSignal, got ${show(signal)}`);
  }
  return signal as AbortSignal;
}

/** What ends a watch. */
export function signalOfWatch(options: { signal?: AbortSignal }): AbortSignal | undefined {
  return checkSignal(checkKeys(options, WATCH).signal);
}

export function checkBoolean(name: string, value: unknown, byDefault: boolean): boolean {
  if (value === undefined) return byDefault;
  if (typeof value !== 'boolean') throw new TypeError(`${name} must be true or false, got ${show(value)}`);
  return value;
}

/** A copy, with its keys in order, so that later changes by the caller have no effect. */
export function checkMetadata(metadata: unknown): Record<string, string> | undefined {
  if (metadata === undefined) return undefined;
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    throw new TypeError(`metadata must be an object of strings, got ${show(metadata)}`);
  }
  const entries = Object.entries(metadata);
  const wrong = entries.find(([, value]) => typeof value !== 'string');
  if (wrong !== undefined)
    throw new TypeError(`metadata.${wrong[0]} must be a string, got ${show(wrong[1])}`);
  const copy = Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))) as Record<string, string>;
  const bytes = Buffer.byteLength(JSON.stringify(copy));
  if (bytes > MAX_METADATA_BYTES) {
    throw new RangeError(`metadata must be at most ${MAX_METADATA_BYTES} bytes as JSON, got ${bytes}`);
  }
  return copy;
}

export function checkHolder(holder: unknown): string | undefined {
  if (holder === undefined) return undefined;
  if (typeof holder !== 'string') throw new TypeError(`holder must be a string, got ${show(holder)}`);
  if (Buffer.byteLength(holder) > MAX_HOLDER_BYTES) {
    throw new RangeError(
      `holder must be at most ${MAX_HOLDER_BYTES} bytes, got ${Buffer.byteLength(holder)}`,
    );
  }
  return holder;
}

/** What the server takes as a bucket name (ADR-8). */
export function checkBucket(bucket: unknown): string {
  if (typeof bucket !== 'string') throw new TypeError(`bucket must be a string, got ${show(bucket)}`);
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(bucket)) {
    throw new RangeError(`bucket must be 1 to 128 letters, digits, "_" and "-", got ${show(bucket)}`);
  }
  return bucket;
}

export function checkMaxBytes(maxBytes: unknown): number | undefined {
  if (maxBytes === undefined) return undefined;
  return wholeNumber('maxBytes', maxBytes, MAX_MESSAGE_BYTES, Number.MAX_SAFE_INTEGER);
}

/** @returns the prefix of the subjects of the JetStream API; undefined: that of the server */
export function checkApiPrefix(domain: unknown, apiPrefix: unknown): string | undefined {
  if (domain !== undefined && apiPrefix !== undefined) {
    throw new RangeError(
      `domain ${show(domain)} and apiPrefix ${show(apiPrefix)} exclude each other: a domain has a prefix of its own`,
    );
  }
  if (domain !== undefined) return `$JS.${checkTokens('domain', domain, 1)}.API`;
  return apiPrefix === undefined ? undefined : checkTokens('apiPrefix', apiPrefix, Infinity);
}

/** A part of a subject: tokens joined by dots, without wildcards. */
function checkTokens(name: string, value: unknown, most: number): string {
  if (typeof value !== 'string') throw new TypeError(`${name} must be a string, got ${show(value)}`);
  // eslint-disable-next-line no-control-regex
  const tokens = /^[^.*>\s\x00-\x1f\x7f]+(\.[^.*>\s\x00-\x1f\x7f]+)*$/.test(value)
    ? value.split('.').length
    : 0;
  if (tokens === 0 || tokens > most || Buffer.byteLength(value) > MAX_PREFIX_BYTES) {
    const what = most === 1 ? 'one token' : 'tokens joined by dots';
    throw new RangeError(
      `${name} must be ${what}, without wildcards or white space, at most ${MAX_PREFIX_BYTES} bytes, got ${show(value)}`,
    );
  }
  return value;
}

function wholeNumber(name: string, value: unknown, least: number, most: number, what?: string): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number, got ${show(value)}`);
  if (!Number.isInteger(value) || value < least || value > most) {
    const bound = what === undefined ? `${most}` : `${most} (${what})`;
    throw new RangeError(`${name} must be a whole number from ${least} to ${bound}, got ${value}`);
  }
  return value;
}

function number(name: string, value: unknown, least: number, most: number, unit: string): number {
  if (typeof value !== 'number')
    throw new TypeError(`${name} must be a number of ${unit}, got ${show(value)}`);
  if (!(value >= least && value <= most)) {
    throw new RangeError(`${name} must be from ${least} to ${most} ${unit}, got ${value}`);
  }
  return value;
}

function show(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
