import type { Store } from '../store/store';

/** An entry by one of its revisions. */
export interface Revised {
  readonly key: string;
  readonly revision: number;
}

/** What came of removing entries. */
export interface Removal {
  /** Those removed, with the revisions of their markers. */
  readonly freed: Revised[];
  /** Whether all were still at theirs. */
  readonly all: boolean;
  /** Why it is not known of some. */
  readonly failure: Error | undefined;
}

/** Removes entries, each under its revision: what somebody else has changed since is theirs. */
export async function removeEach(store: Store, entries: readonly Revised[], until: number): Promise<Removal> {
  const freed: Revised[] = [];
  let all = true;
  let failure: Error | undefined;
  const remove = async ({ key, revision }: Revised): Promise<void> => {
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
