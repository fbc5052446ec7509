/**
 * Decodes values of the bucket, which any client with write rights may have written. No value throws, costs more than its length
 * allows, or passes with a field that a client of this protocol can not write. `docs/protocol.md`, section 3, shows the
 * same bounds.
 */

import { parseTime } from '../runtime/clock';

export const FORMAT_VERSION = 1;

/** Longest value that is decoded, in UTF-16 units: the server stores no longer message. */
export const MAX_VALUE_LENGTH = 16_384;
/** Most levels of nested objects and arrays. Records have two levels; the rest is for fields of later versions. */
const MAX_LEVELS = 8;
const MAX_TIME_LENGTH = 40;

export type Decoded<T> =
  { readonly ok: true; readonly record: T } | { readonly ok: false; readonly reason: string };

/** What is known of an entry besides its value. */
export interface Origin {
  /** Revision under which the value was written. */
  readonly revision?: number | undefined;
  /** Why the store rejects it as an entry of this protocol. The value is then not decoded. */
  readonly fault?: string | undefined;
}

/** A rule for the value of a field. */
export interface Rule {
  /** What the rule allows, worded to follow "is not". */
  readonly says: string;
  /** @param revision of the entry, Infinity if it is not known */
  readonly allows: (value: unknown, revision: number) => boolean;
}

interface Field {
  readonly name: string;
  readonly rule: Rule;
  readonly optional: boolean;
}

/** The fields of a record. Fields that it does not name are ignored: a later version may have added them. */
export type Schema<T> = {
  readonly [F in keyof T]-?: undefined extends T[F] ? { readonly optional: Rule } : Rule;
};

export type Decode<T> = (value: string, origin?: Origin) => Decoded<T>;

/** A decoder for records of a schema. */
export function decoderOf<T extends object>(schema: Schema<T>): Decode<T> {
  const fields = Object.entries<Rule | { readonly optional: Rule }>(schema).map(([name, rule]): Field =>
    'optional' in rule ? { name, rule: rule.optional, optional: true } : { name, rule, optional: false },
  );
  return (value, origin = {}) => {
    if (origin.fault !== undefined) return unreadable(origin.fault);
    const parsed = parseObject(value);
    if (typeof parsed === 'string') return unreadable(parsed);
    const { v } = parsed;
    if (v !== FORMAT_VERSION)
      return unreadable(`its format version is ${shown(v)}, this package reads ${FORMAT_VERSION}`);
    const record: Record<string, unknown> = {};
    for (const { name, rule, optional } of fields) {
      const found = parsed[name];
      if (found === undefined && optional) continue;
      if (!rule.allows(found, origin.revision ?? Infinity)) return unreadable(`${name} is not ${rule.says}`);
      record[name] = found;
    }
    return { ok: true, record: record as T };
  };
}

function unreadable(reason: string): { ok: false; reason: string } {
  return { ok: false, reason };
}

function parseObject(value: string): Record<string, unknown> | string {
  if (value.length > MAX_VALUE_LENGTH) return `it is longer than ${MAX_VALUE_LENGTH} characters`;
  if (isDeep(value)) return `it has more than ${MAX_LEVELS} levels`;
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    return 'it is not JSON';
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    return 'it is not a JSON object';
  return parsed as Record<string, unknown>;
}

/** Whether objects and arrays are nested too deep. Otherwise code that recurses over a parsed value could run out of stack. */
function isDeep(value: string): boolean {
  if (!hasMoreBrackets(value)) return false;
  let level = 0;
  let quoted = false;
  for (let i = 0; i < value.length; i++) {
    const char = value[i];
    if (quoted) {
      if (char === '\\') i++;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if ((char === '{' || char === '[') && ++level > MAX_LEVELS) return true;
    else if (char === '}' || char === ']') level--;
  }
  return false;
}

/** Whether there are enough opening brackets for too many levels. Nearly all values have one or two, so this check is cheap. */
function hasMoreBrackets(value: string): boolean {
  let found = 0;
  for (const bracket of ['{', '['])
    for (let at = value.indexOf(bracket); at >= 0; at = value.indexOf(bracket, at + 1))
      if (++found > MAX_LEVELS) return true;
  return false;
}

function shown(version: unknown): string {
  return typeof version === 'number' || version === undefined ? String(version) : `a ${typeof version}`;
}

// ---- rules

/** The same rule for a field that may be left out. */
export const optional = (rule: Rule): { readonly optional: Rule } => ({ optional: rule });

export const whole = (least: number, most: number): Rule => ({
  says: `a whole number from ${least} to ${most}`,
  allows: (value) => Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most,
});

export const between = (least: number, most: number): Rule => ({
  says: `a number from ${least} to ${most}`,
  allows: (value) => typeof value === 'number' && value >= least && value <= most,
});

/** A revision that existed before the entry was written. */
export const earlierRevision: Rule = {
  says: 'the revision of an earlier write',
  allows: (value, revision) =>
    Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= revision,
};

/** @param most bytes of UTF-8 */
export const text = (most: number): Rule => ({
  says: `a string of at most ${most} bytes`,
  allows: (value) => typeof value === 'string' && hasAtMost(value, most),
});

const ID = /^[!-)+,\-/-=?-~]{1,128}$/;

/** What can be one token of a key. */
export const id: Rule = {
  says: 'an id: 1 to 128 printable ASCII characters but ".", "*" and ">"',
  allows: (value) => typeof value === 'string' && ID.test(value),
};

export const flag: Rule = { says: 'true or false', allows: (value) => typeof value === 'boolean' };

export const oneOf = (...values: readonly string[]): Rule => ({
  says: values.map((value) => JSON.stringify(value)).join(' or '),
  allows: (value) => values.includes(value as string),
});

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;
let lastTime = '';

export const time: Rule = {
  says: 'an ISO 8601 time from 1970 on, such as 2026-03-01T12:00:00.000Z',
  allows(value) {
    if (typeof value !== 'string' || value.length > MAX_TIME_LENGTH) return false;
    // All renewals of a permit carry the same text.
    if (value === lastTime) return true;
    if (!TIME.test(value) || !(parseTime(value) >= 0)) return false;
    lastTime = value;
    return true;
  },
};

/** @param most bytes of it as JSON */
export const strings = (most: number): Rule => ({
  says: `an object of strings of at most ${most} bytes as JSON`,
  allows: (value) =>
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((item) => typeof item === 'string') &&
    (isSmall(value as Record<string, string>, most) || hasAtMost(JSON.stringify(value), most)),
});

/** Bytes of one UTF-16 unit as JSON at most, as the longest escape (\u0000) has; and what surrounds a name and a value. */
const BYTES_OF_UNIT = 6;
const BYTES_OF_ITEM = '"":"",'.length;

/** Whether it fits even if each of its characters has to be escaped. Then it need not be written as JSON to find out. */
function isSmall(value: Readonly<Record<string, string>>, bytes: number): boolean {
  let most = '{}'.length;
  for (const name in value)
    most += (name.length + (value[name] ?? '').length) * BYTES_OF_UNIT + BYTES_OF_ITEM;
  return most <= bytes;
}

function hasAtMost(value: string, bytes: number): boolean {
  return value.length * 3 <= bytes || (value.length <= bytes && Buffer.byteLength(value) <= bytes);
}
