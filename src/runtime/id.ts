import { randomBytes } from 'node:crypto';

const LENGTH = 16;
/**
 * Bytes for so many ids are drawn and written out together: one by one that would take several times as long. An id that lives
 * long keeps all of its pool in memory.
 */
const POOLED = 32;

let pool = '';
let used = 0;

/** 16 characters of nearly 96 random bits, legal inside a key token; begins with a letter or a digit. */
export function newId(): string {
  do {
    if (used === pool.length) {
      pool = randomBytes((POOLED * LENGTH * 6) / 8).toString('base64url');
      used = 0;
    }
    used += LENGTH;
    // One that begins with `-` would pass for an option on a command line.
  } while ('-_'.includes(pool.charAt(used - LENGTH)));
  return pool.slice(used - LENGTH, used);
}
