import type { History, StreamLine } from '../history';
import { CLOCK_ERROR_MS } from './believed-holds';
import { readable } from './readable';
import type { Violation } from './violation';

/** An entry that a server had again, although the stream had stored something later under its key. */
export interface Return {
  readonly at: number;
  readonly key: string;
  readonly revision: number;
  /** What the stream stored over it. */
  readonly later: StreamLine;
  /** It, if that was recorded. */
  readonly entry: StreamLine | undefined;
  /** When its TTL was over; Infinity: it has none. */
  readonly endedAt: number;
  readonly server: number;
  /** Whether that server was the one that decides. */
  readonly leads: boolean;
}

/**
 * What servers had again, by each reading that showed it. A server that had not come as far as what was stored later is still on its way
 * to it.
 */
export function returnsOf({ readings, stream, until }: History): Return[] {
  const byKey = new Map<string, StreamLine[]>();
  for (const line of stream) {
    const lines = byKey.get(line.key);
    if (lines === undefined) byKey.set(line.key, [line]);
    else lines.push(line);
  }
  return readings
    .filter(({ at }) => at <= until)
    .flatMap(({ at, server, leads, upTo, entries }) =>
      entries.flatMap(([key, revision]): Return[] => {
        const lines = byKey.get(key) ?? [];
        const later = lines.find((line) => line.revision > revision && line.revision <= upTo);
        if (later === undefined) return [];
        const entry = lines.find((line) => line.revision === revision);
        return [{ at, key, revision, later, entry, endedAt: endOf(entry), server, leads }];
      }),
    );
}

/** When a server is to remove an entry by itself. */
export function endOf(entry: StreamLine | undefined): number {
  return entry?.ttl === undefined ? Infinity : entry.storedAt + entry.ttl;
}

/** Whether a server has an entry again that it would keep. One whose TTL is over goes as soon as the server looks at it. */
export function isAlive({ at, endedAt }: Return): boolean {
  return at < endedAt - CLOCK_ERROR_MS;
}

/**
 * What was removed, or written over, does not come back with a server. One that only follows the leader may have more, which clients do
 * not believe. And no marker lasts for ever, so a share of a latch, which has no TTL, may come back after it: of a round that is
 * over, so that it means nothing, and the next round removes it again.
 */
export function checkReturns(history: History): Violation[] {
  const seen = new Set<string>();
  return returnsOf(history).flatMap((each) => {
    const { at, key, revision, later, entry, leads } = each;
    const id = `${key} ${revision}`;
    // Of one that was not recorded it is not known whether its TTL was over.
    if (
      entry === undefined ||
      !leads ||
      !isAlive(each) ||
      isHostile(each) ||
      isOfNoRound(each, history) ||
      seen.has(id)
    )
      return [];
    seen.add(id);
    const { permit, holder = 'unknown' } = fieldsOf(entry);
    const deed = later.value === null ? 'removed' : 'wrote over';
    return [
      {
        kind: 'came back',
        at,
        message: `${key} had revision ${revision} of ${holder} again, which revision ${later.revision} ${deed} before`,
        permits: permit === undefined ? [] : [permit],
        name: key.split('.')[1] ?? '',
      },
    ];
  });
}

/** Whether it is the hostile client's, or that one wrote over it: with whatever TTL, which is its right. */
function isHostile({ entry, later }: Return): boolean {
  return entry?.hostile === true || later.hostile === true;
}

interface Fields {
  readonly permit?: string;
  readonly holder?: string;
  readonly round?: string;
}

/** Whether it is a share of a round after which another one was begun. */
function isOfNoRound({ key, entry, at }: Return, { stream }: History): boolean {
  const [kind, name, part] = key.split('.');
  if (kind !== 'latch' || part !== 'share') return false;
  const rounds = stream.filter((line) => line.key === `latch.${name}.count` && line.storedAt < at);
  const last = rounds.at(-1);
  return last !== undefined && fieldsOf(last).round !== fieldsOf(entry).round;
}

function fieldsOf(line: StreamLine | undefined): Fields {
  return (line && readable<Fields>(line)) ?? {};
}
