import { systemClock } from '../../src/runtime/clock';
import { StoreDispatcher } from '../../src/api/dispatcher';
import type { DispatcherOptions } from '../../src/api/options';
import { MemoryStore } from '../../src/store/memory';
import type { SemaphoreWorld } from '../suites/semaphore-suite';

/** One of several dispatchers over one store in memory. Closing it leaves the store to the others. */
class SharingDispatcher extends StoreDispatcher {
  constructor(store: MemoryStore, options: DispatcherOptions = {}) {
    super(
      new Proxy(store, {
        get: (target, name) => {
          if (name === 'close') return () => Promise.resolve();
          const value: unknown = Reflect.get(target, name);
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        },
      }),
      systemClock,
      options,
    );
  }

  protected closeBackend(): Promise<void> {
    return Promise.resolve();
  }
}

/** Dispatchers over one store in memory, as processes that share a bucket. */
export function memoryWorld(defaults: DispatcherOptions = {}): Promise<SemaphoreWorld> {
  const store = new MemoryStore();
  return Promise.resolve({
    late: defaults.retain !== undefined,
    open: (options) => Promise.resolve(new SharingDispatcher(store, { ...defaults, ...options })),
    put: async (key, value) => {
      const [entry] = await store.read([key]);
      await store.commit([{ key, expected: entry?.revision ?? 0, value }]);
    },
    keys: async () => (await store.read(['>'])).filter(({ value }) => value !== null).map(({ key }) => key),
    close: () => store.close(),
  });
}
