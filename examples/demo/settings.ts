/** What the demo is about, for the conductor and its workers alike. */
export const NAME = 'reports';
export const SLOTS = 3;
export const WORKERS = 7;
export const ROUNDS = 4;
/** Short, so that nobody has to wait long for a dead worker's slot. */
export const TTL_MS = 3_000;
/** By when the slot of a killed holder must have passed on. */
export const TAKEOVER_LIMIT_MS = TTL_MS + 1_000;
