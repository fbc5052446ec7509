import { createRequire } from 'node:module';
import type * as Source from '../src';

/**
 * The library as it is built and published, which `npm run bench` does first. Not the sources: what compiles those on the
 * fly for the bench adds a call to every function that is made at run time.
 */
export const { NatsDispatcher, LocalDispatcher } = createRequire(__filename)(
  'nats-semaphore',
) as typeof Source;
