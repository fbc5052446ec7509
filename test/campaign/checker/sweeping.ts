import { type Disturbance, type Span, length, undisturbed } from './calm';
import type { History, StreamLine } from '../history';
import { type Ending, endingOf, returnsOf } from './returns';

/** In which a server removes what has run out, while nothing is wrong with it. */
const EXPIRED_WITHIN_MS = 1_000;

/** Entries of one kind that a server had for longer than it should. */
export interface Leftovers {
  /** Removed by a client although the stream had stored their end before: a server had them again. */
  readonly sweptAgain: number;
  /** Removed by a client long after their TTL: a server had forgotten it. */
  readonly sweptOverdue: number;
  /** Had again when they were looked for, on the server that decides, by how they had ended. */
  readonly onLeader: Readonly<Partial<Record<Ending, number>>>;
  /** Likewise on servers that follow it, and only there. */
  readonly onFollower: Readonly<Partial<Record<Ending, number>>>;
}

const KINDS = ['holds', 'tickets', 'others'] as const;
type Kind = (typeof KINDS)[number];

function kindOf(key: string): Kind {
  const part = key.split('.')[2];
  if (part === 'ticket') return 'tickets';
  return part === 'slot' || part === 'writer' || part === 'reader' ? 'holds' : 'others';
}

/** How often each protection against entries that a server has for too long had something to do. */
export function leftoversOf(
  history: History,
  troubles: readonly Disturbance[],
): Readonly<Record<Kind, Leftovers>> {
  const swept = sweptOf(history, troubles);
  const returns = returnsOf(history);
  const deciding = new Set(
    returns.filter(({ leads }) => leads).map(({ key, revision }) => `${key} ${revision}`),
  );
  const counted = (kind: Kind, leads: boolean): Leftovers['onLeader'] => {
    const endings = new Map<string, Ending>();
    for (const each of returns) {
      const id = `${each.key} ${each.revision}`;
      if (kindOf(each.key) === kind && each.leads === leads && (leads || !deciding.has(id)))
        endings.set(id, endingOf(each));
    }
    const counts: Partial<Record<Ending, number>> = {};
    for (const ending of endings.values()) counts[ending] = (counts[ending] ?? 0) + 1;
    return counts;
  };
  return Object.fromEntries(
    KINDS.map((kind) => [
      kind,
      {
        sweptAgain: swept.filter(({ line, again }) => again && kindOf(line.key) === kind).length,
        sweptOverdue: swept.filter(({ line, again }) => !again && kindOf(line.key) === kind).length,
        onLeader: counted(kind, true),
        onFollower: counted(kind, false),
      },
    ]),
  ) as Record<Kind, Leftovers>;
}

interface Swept {
  readonly line: StreamLine;
  /** Whether the stream had stored its end before; if not, that was overdue. */
  readonly again: boolean;
}

/** Removals by clients of what should have been gone. */
function sweptOf({ stream }: History, troubles: readonly Disturbance[]): Swept[] {
  const outages: Span[] = troubles.filter(({ target }) => target === 'server');
  const byRevision = new Map(stream.map((line) => [line.revision, line]));
  const last = new Map<string, StreamLine>();
  return stream.flatMap((line): Swept[] => {
    const before = last.get(line.key);
    last.set(line.key, line);
    if (line.marker !== 'PURGE' || line.last === undefined || line.last === 0) return [];
    if (before !== undefined && before.revision > line.last) return [{ line, again: true }];
    const removed = byRevision.get(line.last);
    const ttl = removed?.value == null ? undefined : (JSON.parse(removed.value) as { ttl?: number }).ttl;
    if (removed === undefined || ttl === undefined) return [];
    const endedAt = removed.storedAt + Math.ceil(ttl / 1_000) * 1_000;
    const well = undisturbed({ from: endedAt, to: line.storedAt }, outages);
    const over = Math.max(0, ...well.map(length));
    return over > EXPIRED_WITHIN_MS ? [{ line, again: false }] : [];
  });
}
