import { MemoryStore } from '../../src/store/memory';
import { storeSuite } from '../suites/store-suite';

storeSuite('memory', async () => {
  const store = new MemoryStore();
  return { open: async () => store, close: () => store.close() };
});
