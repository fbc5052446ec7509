/**
 * The values in the bucket: JSON that a person can read, with a version. What does not decode is never repaired, never
 * overwritten and never taken for free.
 */

export const FORMAT_VERSION = 1;

/** Value of a slot that is held. */
export interface Hold {
  /** Id of the permit that holds the slot; the same in all slots of one permit. */
  readonly permit: string;
  /** Who holds it, for people. */
  readonly holder: string;
  /** When the permit was granted, by the holder's wall clock: ISO 8601, for people. */
  readonly since: string;
  /** How long the hold lasts after this write, in ms. */
  readonly ttl: number;
  /** Fencing token of the permit. Absent in the claim itself, whose own revision it is. */
  readonly token?: number;
  readonly meta?: Readonly<Record<string, string>>;
}

export type Decoded<T> =
  { readonly ok: true; readonly record: T } | { readonly ok: false; readonly reason: string };

export function encodeHold(hold: Hold): string {
  return JSON.stringify({ v: FORMAT_VERSION, ...hold });
}

export function decodeHold(value: string): Decoded<Hold> {
  return decodeVersioned(value, (fields) => {
    const { permit, holder, since, ttl, token, meta } = fields;
    if (typeof permit !== 'string' || permit === '') return 'permit is not a non-empty string';
    if (typeof holder !== 'string') return 'holder is not a string';
    if (typeof since !== 'string') return 'since is not a string';
    if (typeof ttl !== 'number' || !(ttl > 0)) return 'ttl is not a positive number';
    if (token !== undefined && !Number.isSafeInteger(token)) return 'token is not a whole number';
    if (meta !== undefined && !isStringMap(meta)) return 'meta is not an object of strings';
    return {
      permit,
      holder,
      since,
      ttl,
      ...(token === undefined ? {} : { token: token as number }),
      ...(meta === undefined ? {} : { meta }),
    };
  });
}

/** Parses a value and checks its version; `read` gives the record, or says in words what is wrong with it. */
function decodeVersioned<T extends object>(
  value: string,
  read: (fields: Record<string, unknown>) => T | string,
): Decoded<T> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    return { ok: false, reason: 'it is not JSON' };
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    return { ok: false, reason: 'it is not a JSON object' };
  }
  const fields = parsed as Record<string, unknown>;
  if (fields.v !== FORMAT_VERSION) {
    return {
      ok: false,
      reason: `its format version is ${JSON.stringify(fields.v)}, this package reads ${FORMAT_VERSION}`,
    };
  }
  const record = read(fields);
  return typeof record === 'string' ? { ok: false, reason: record } : { ok: true, record };
}

function isStringMap(value: unknown): value is Record<string, string> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((item) => typeof item === 'string')
  );
}
