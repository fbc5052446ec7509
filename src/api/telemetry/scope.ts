/** The instrumentation scope of all that this library reports. */
export const SCOPE = 'nats-semaphore';
