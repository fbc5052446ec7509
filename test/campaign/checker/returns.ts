import type { History, ReadingLine, StreamLine } from '../history';
import type { Violation } from './violation';

/** An entry that a server had again, although the stream had stored something later under its key. */
export interface Return {
  readonly at: number;
  readonly key: string;
  readonly revision: number;
  /** What the stream stored over it. */
  readonly later: StreamLine;
  readonly server: number;
  /** Whether that server was the one that decides. */
  readonly leads: boolean;
}

/** How an entry ended that is there again. */
export type Ending = 'released' | 'expired' | 'written over';

export function endingOf({ later }: Pick<Return, 'later'>): Ending {
  if (later.value !== null) return 'written over';
  return later.marker === 'MaxAge' ? 'expired' : 'released';
}

/**
 * What servers had again at some reading, each entry once for each server. A server that had not come as far as what was stored
 * later is still on its way to it.
 */
export function returnsOf({ readings, stream, until }: History): Return[] {
  const byKey = new Map<string, StreamLine[]>();
  for (const line of stream) {
    const lines = byKey.get(line.key);
    if (lines === undefined) byKey.set(line.key, [line]);
    else lines.push(line);
  }
  const found = new Map<string, Return>();
  for (const reading of readings) {
    if (reading.at > until) continue;
    const { at, server, leads } = reading;
    for (const [key, revision] of reading.entries) {
      const later = byKey.get(key)?.find((line) => line.revision > revision && wasKnown(line, reading));
      if (later === undefined) continue;
      const id = `${server} ${leads} ${key} ${revision}`;
      if (!found.has(id)) found.set(id, { at, key, revision, later, server, leads });
    }
  }
  return [...found.values()];
}

function wasKnown({ revision }: StreamLine, { upTo }: ReadingLine): boolean {
  return revision <= upTo;
}

/**
 * What was removed stays removed, whatever happens to the server. One that only follows the leader may have more, which clients do
 * not believe; and an entry whose TTL ran out while its server was away may wait for those who sweep.
 */
export function checkReturns(history: History): Violation[] {
  const seen = new Set<string>();
  return returnsOf(history).flatMap((each) => {
    const { at, key, revision, later, leads } = each;
    const id = `${key} ${revision}`;
    if (!leads || endingOf(each) === 'expired' || seen.has(id)) return [];
    seen.add(id);
    const { permit, holder } = fieldsOf(history, each);
    const deed = later.value === null ? 'removed' : 'wrote over';
    return [
      {
        kind: 'came back',
        at,
        message: `${key} had revision ${revision}${holder === undefined ? '' : ` of ${holder}`} again, which revision ${later.revision} ${deed} before the server was away`,
        permits: permit === undefined ? [] : [permit],
        name: key.split('.')[1] ?? '',
      },
    ];
  });
}

function fieldsOf({ stream }: History, { revision }: Return): { permit?: string; holder?: string } {
  const value = stream.find((line) => line.revision === revision)?.value ?? null;
  return value === null ? {} : (JSON.parse(value) as { permit?: string; holder?: string });
}
