import type { LeaseRecord } from './lease';
import { isoTime } from './clock';
import { type Hold, decodeHold, encodeRecord } from './record';
import type { Want } from './waiter';

/** The hold of a new permit. @param since by the wall clock @param retain for how long the slot is to be kept later, in ms */
export function newHold(
  permit: string,
  holder: string,
  since: number,
  { metadata, ttl }: Want,
  retain: number,
): Hold {
  return {
    permit,
    holder,
    since: isoTime(since),
    ttl,
    ...(retain === 0 ? {} : { retain }),
    ...(metadata === undefined ? {} : { meta: metadata }),
  };
}

/** What the lease of a permit writes. @param holdOf its hold, as it stands under a key */
export function recordOf(permit: string, holdOf: (key: string) => Hold, use?: number): LeaseRecord {
  return {
    id: permit,
    encode: (key, ttl, token, after) => encodeRecord({ ...holdOf(key), ttl, token, use, after }),
    owns: (value) => {
      const decoded = decodeHold(value);
      return decoded.ok && decoded.record.permit === permit;
    },
  };
}
