import type { LeaseRecord } from './lease';
import { type Hold, decodeHold, encodeRecord } from './record';

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
