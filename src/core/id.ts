import { randomBytes } from 'node:crypto';

const BYTES = 12;
/** The first byte of an id that would begin with `-`, and on a command line pass for an option, or with `_`. */
const FIRST_ODD = 62 << 2;

let pool = Buffer.alloc(0);
let used = 0;

/** 16 characters of nearly 96 random bits, legal inside a key token; begins with a letter or a digit. */
export function newId(): string {
  do {
    if (used + BYTES > pool.length) {
      pool = randomBytes(BYTES * 128);
      used = 0;
    }
    used += BYTES;
  } while ((pool[used - BYTES] ?? 0) >= FIRST_ODD);
  return pool.toString('base64url', used - BYTES, used);
}
