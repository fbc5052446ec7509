import type { StreamLine } from '../history';

type Fields = Readonly<Record<string, unknown>>;

const MAX_VALUE_BYTES = 16_384;
const MAX_LEVELS = 8;
const ID = /^[!-~]{1,128}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/**
 * What an entry says; undefined if it says nothing: it is a marker, or no client can read it. By section 3 of the protocol's page,
 * and without its bounds for lengths of texts: those concern the hostile client only, whose readable entries count for little.
 */
export function readable<T>({ value, fault }: StreamLine): T | undefined {
  if (value === null || fault !== undefined || Buffer.byteLength(value) > MAX_VALUE_BYTES) return undefined;
  try {
    const fields: unknown = JSON.parse(value);
    const isObject = typeof fields === 'object' && fields !== null && !Array.isArray(fields);
    return isObject && levelsOf(fields) <= MAX_LEVELS ? (fields as T) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the hold of a slot, a writer's or a reader's place is one that clients can read. */
export function isHold(fields: Fields, revision: number): boolean {
  const { v, permit, holder, since, ttl, token, use, retain, kept, ticket, after, given, meta } = fields;
  const id = (some: unknown): boolean => typeof some === 'string' && ID.test(some) && !/[.*>]/.test(some);
  const number = (some: unknown, least: number, most: number): boolean =>
    typeof some === 'number' && some >= least && some <= most;
  const earlier = (some: unknown): boolean => Number.isSafeInteger(some) && number(some, 1, revision);
  const may = (some: unknown, passes: boolean): boolean => some === undefined || passes;
  return (
    v === 1 &&
    id(permit) &&
    typeof holder === 'string' &&
    Buffer.byteLength(holder) <= 1_024 &&
    typeof since === 'string' &&
    TIME.test(since) &&
    number(ttl, 1_000, 2_147_483_647) &&
    may(token, earlier(token)) &&
    may(given, earlier(given)) &&
    may(use, Number.isInteger(use) && number(use, 0, 1_023)) &&
    may(retain, number(retain, 0, 2_147_483_647)) &&
    may(kept, typeof kept === 'boolean') &&
    may(ticket, id(ticket)) &&
    may(after, id(after)) &&
    may(meta, isTexts(meta))
  );
}

function isTexts(some: unknown): boolean {
  return (
    typeof some === 'object' &&
    some !== null &&
    !Array.isArray(some) &&
    Object.values(some).every((text) => typeof text === 'string')
  );
}

/** A value that is too deep for this is deeper than the bound. */
function levelsOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(levelsOf));
}
