import { randomBytes } from 'node:crypto';

const LENGTH = 16;
/**
 * Random bytes for so many ids are drawn and encoded together: one by one this would take several times as long. A long-lived id
 * keeps its whole pool in memory.
 */
const POOLED = 32;

let pool = '';
let used = 0;

/** A new id: 16 characters with nearly 96 random bits, legal inside a key token. It begins with a letter or a digit. */
export function newId(): string {
  do {
    if (used === pool.length) {
      pool = randomBytes((POOLED * LENGTH * 6) / 8).toString('base64url');
      used = 0;
    }
    used += LENGTH;
    // An id that begins with `-` would count as an option on a command line.
  } while ('-_'.includes(pool.charAt(used - LENGTH)));
  return pool.slice(used - LENGTH, used);
}
