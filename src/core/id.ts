import { randomBytes } from 'node:crypto';

let pool = Buffer.alloc(0);
let used = 0;

/** 16 characters of 96 random bits, legal inside a key token. */
export function newId(): string {
  if (used + 12 > pool.length) {
    pool = randomBytes(12 * 128);
    used = 0;
  }
  used += 12;
  return pool.toString('base64url', used - 12, used);
}
