import type { CommitOptions, CommitResult, Store, Write } from '../../src/store/store';
import type { LabClient, Sabotage } from './lab';

/** Changes each write before it is committed. */
export function rewriting(change: (write: Write, store: Store) => Promise<Write>): Sabotage {
  return (store) =>
    withMethods(store, {
      commit: async (writes: readonly Write[], options?: CommitOptions): Promise<CommitResult> =>
        store.commit(await Promise.all(writes.map((write) => change(write, store))), options),
    });
}

/** The first write of that kind by a client, or the answer to it, waits until `goOn` is called. */
export function withholding(
  what: 'write' | 'answer',
  client: () => LabClient | undefined,
  which: (write: Write) => boolean,
): { readonly sabotage: Sabotage; readonly goOn: () => void } {
  let goOn: (() => void) | undefined;
  const sabotage: Sabotage = (store) =>
    withMethods(store, {
      commit: async (writes, options) => {
        const first = goOn === undefined && store === client()?.wire && writes.some(which);
        const told = first && new Promise<void>((resolve) => (goOn = resolve));
        if (what === 'write') await told;
        const result = await store.commit(writes, options);
        await told;
        return result;
      },
    });
  return { sabotage, goOn: () => goOn?.() };
}

export function withMethods(store: Store, methods: Partial<Store>): Store {
  return new Proxy(store, {
    get: (target, name) => {
      const own = (methods as Record<string | symbol, unknown>)[name];
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** Does some writes whatever the key's last revision is. */
export function regardless(which: (write: Write) => boolean): Sabotage {
  return (store) =>
    withMethods(store, {
      commit: async (writes: readonly Write[], options?: CommitOptions): Promise<CommitResult> => {
        for (;;) {
          const result = await store.commit(writes, options);
          if (result.committed || result.withdrawn !== undefined || !writes.every(which)) return result;
          writes = await Promise.all(
            writes.map(async (write) => ({ ...write, expected: await revisionNow(store, write.key) })),
          );
        }
      },
    });
}

async function revisionNow(store: Store, key: string): Promise<number> {
  return (await store.read([key]))[0]?.revision ?? 0;
}
