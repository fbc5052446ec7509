import type { History, StreamLine } from '../history';
import { type Disturbance, type Span, length, undisturbed } from './calm';
import { type Return, endOf, isAlive, returnsOf } from './returns';

/** In which a server that is well removes what has run out. */
const EXPIRED_WITHIN_MS = 1_000;

/** What became of entries of one kind that a server had for longer than it should. */
export interface Leftovers {
  /** Removed by a client after a server that was well had not, though their TTL was over or the stream had stored their end. */
  readonly sweptForgotten: number;
  /** Removed by a client although the stream had stored their end, before the server came to it by itself. */
  readonly sweptEarly: number;
  /** Had again, when they were looked for, by the server that decides. */
  readonly onLeader: Had;
  /** Had again by a server that follows it, and not by that one. */
  readonly onFollower: Had;
}

interface Had {
  /** Whose TTL was not over. */
  readonly alive: number;
  /** Whose TTL was over, soon after the server came back. */
  readonly expiring: number;
  /** Whose TTL was over, while the server had been well for longer than it needs. */
  readonly forgotten: number;
}

type Kind = 'holds' | 'tickets' | 'others';

function kindOf(key: string): Kind {
  const part = key.split('.')[2];
  if (part === 'ticket') return 'tickets';
  return part === 'slot' || part === 'writer' || part === 'reader' ? 'holds' : 'others';
}

/** How often each protection against entries that a server has for too long had something to do. */
export function leftoversOf(history: History, troubles: readonly Disturbance[]): Record<Kind, Leftovers> {
  const outages = troubles.filter(({ target }) => target === 'server');
  const swept = sweptOf(history, outages);
  const returns = returnsOf(history);
  const onLeader = new Set(returns.filter(({ leads }) => leads).map(idOf));
  const leftovers = (kind: Kind): Leftovers => {
    const own = returns.filter(({ key }) => kindOf(key) === kind);
    return {
      sweptForgotten: swept.filter(({ key, forgotten }) => forgotten && kindOf(key) === kind).length,
      sweptEarly: swept.filter(({ key, forgotten }) => !forgotten && kindOf(key) === kind).length,
      onLeader: hadOf(
        own.filter(({ leads }) => leads),
        outages,
      ),
      onFollower: hadOf(
        own.filter((each) => !onLeader.has(idOf(each))),
        outages,
      ),
    };
  };
  return { holds: leftovers('holds'), tickets: leftovers('tickets'), others: leftovers('others') };
}

const idOf = ({ key, revision }: Return): string => `${key} ${revision}`;

/** Each entry once, by the worst that was seen of it. */
function hadOf(returns: readonly Return[], outages: readonly Span[]): Had {
  const ids = (some: readonly Return[]): Set<string> => new Set(some.map(idOf));
  const alive = ids(returns.filter(isAlive));
  const forgotten = ids(
    returns.filter((each) => wellSince(each.endedAt, each.at, outages) > EXPIRED_WITHIN_MS),
  );
  for (const id of alive) forgotten.delete(id);
  return {
    alive: alive.size,
    forgotten: forgotten.size,
    expiring: ids(returns).size - alive.size - forgotten.size,
  };
}

/** For how long at most a server was well between two moments. */
function wellFor(from: number, to: number, outages: readonly Span[]): number {
  return Math.max(0, ...undisturbed({ from, to }, outages).map(length));
}

/** The same of an entry that came back, which it did in the last outage. */
function wellSince(from: number, to: number, outages: readonly Span[]): number {
  const back = outages.filter((outage) => outage.from < to).map((outage) => outage.to);
  return wellFor(Math.max(from, ...back), to, outages);
}

/** Removals by clients of what should have been gone. */
function sweptOf({ stream }: History, outages: readonly Span[]): { key: string; forgotten: boolean }[] {
  const byRevision = new Map(stream.map((line) => [line.revision, line]));
  const last = new Map<string, StreamLine>();
  return stream.flatMap((line) => {
    const { key, marker, storedAt } = line;
    const before = last.get(key);
    last.set(key, line);
    if (marker !== 'PURGE' || line.last === undefined || line.last === 0) return [];
    const again = before !== undefined && before.revision > line.last;
    const well = (again ? wellSince : wellFor)(endOf(byRevision.get(line.last)), storedAt, outages);
    const forgotten = well > EXPIRED_WITHIN_MS;
    return again || forgotten ? [{ key, forgotten }] : [];
  });
}
