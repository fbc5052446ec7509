import type { Aborting } from '../runtime/cancellation';
import { BackendUnavailableError, StoreFullError } from '../errors';
import type { Store } from './store';
import { backoff } from '../runtime/backoff';
import { type Clock, sleep } from '../runtime/clock';

/**
 * Retries until the attempt succeeds, with pauses while the store is out of reach or full. Any other failure, or a store that is
 * closed for good, ends it. Resolves with undefined once `signal` has aborted.
 */
export async function retry<T>(
  { clock, store }: { readonly clock: Clock; readonly store: Store },
  attempt: () => Promise<T>,
  signal: Aborting,
): Promise<T | undefined> {
  for (const pause of backoff(50, 1_000)) {
    if (signal.aborted) return undefined;
    try {
      return await attempt();
    } catch (error) {
      const passes = error instanceof BackendUnavailableError || error instanceof StoreFullError;
      if (!passes || store.isClosed()) throw error;
    }
    await sleep(clock, pause, signal);
  }
  throw new Error('unreachable');
}
