import type { Store } from '../store/store';

/** An entry of ours, under the revision of our last write. */
export interface Own {
  readonly key: string;
  readonly revision: number;
}

/** What came of removing entries. */
export interface Removal {
  /** Those removed, with the revisions of their markers. */
  readonly freed: Own[];
  /** Whether all were still ours. */
  readonly all: boolean;
  /** Why it is not known of some. */
  readonly failure: Error | undefined;
}

/** Removes entries, each under the revision of our last write: what somebody else has changed is theirs. */
export async function removeOwn(store: Store, entries: readonly Own[], until: number): Promise<Removal> {
  const freed: Own[] = [];
  let all = true;
  let failure: Error | undefined;
  const remove = async ({ key, revision }: Own): Promise<void> => {
    try {
      const result = await store.commit([{ key, expected: revision, value: null }], { until });
      if (result.committed) freed.push({ key, revision: result.revisions[0] as number });
      else all = false;
    } catch (error) {
      failure ??= error as Error;
    }
  };
  await Promise.all(entries.map(remove));
  return { freed, all, failure };
}
