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
  const removing = entries.map(({ key, revision }) =>
    store.commit([{ key, expected: revision, value: null }], { until }),
  );
  const freed: Own[] = [];
  let all = true;
  let failure: Error | undefined;
  for (const [i, settled] of (await Promise.allSettled(removing)).entries()) {
    if (settled.status === 'rejected') failure ??= settled.reason as Error;
    else if (!settled.value.committed) all = false;
    else freed.push({ key: (entries[i] as Own).key, revision: settled.value.revisions[0] as number });
  }
  return { freed, all, failure };
}
