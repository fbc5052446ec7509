import type { Place } from '../../support/occupancy';
import type { ClientLine, ClientRun, History } from '../history';

export interface Segment {
  readonly from: number;
  readonly to: number;
}

type Ending = 'released' | 'lost' | 'killed' | 'silent';

/** What one client believed of one permit. */
export interface Belief {
  readonly client: string;
  readonly run: number;
  readonly permit: string;
  readonly name: string;
  readonly slots: readonly Place[];
  readonly token: bigint;
  readonly askedAt: number;
  readonly grantedAt: number;
  /** When it was believed. More than one if it was believed again after it had run out. */
  readonly segments: readonly Segment[];
  /** Latest time up to which it was ever to be believed, as last said before its end. */
  readonly promised: number;
  /** `silent`: nothing was said of its end; the last promise ended it, or what is known ends before it. */
  readonly ending: Ending;
  readonly endedAt: number;
  readonly reason: string;
}

interface Draft {
  readonly grant: Extract<ClientLine, { t: 'grant' }>;
  readonly promises: Segment[];
  end?: { readonly at: number; readonly ending: Ending; readonly reason: string };
}

/**
 * Reads beliefs out of what clients wrote down. A process that is stopped can not say that it stopped believing; but it
 * looks at a clock that goes on, so its belief ends with the lease that it last had. Every look says how long that is, and
 * was written with the time from before the look: it promises too little rather than too much.
 */
export function beliefsOf({ runs, faults, until }: History): Belief[] {
  const killed = new Map(
    faults.flatMap((line) => (line.t === 'kill' ? [[`${line.client}.${line.run}`, line.at] as const] : [])),
  );
  return runs.flatMap((run) => beliefsOfRun(run, killed.get(`${run.client}.${run.run}`) ?? Infinity, until));
}

function beliefsOfRun({ client, run, lines }: ClientRun, killedAt: number, until: number): Belief[] {
  const asked = new Map<number, number>();
  const drafts = new Map<string, Draft>();
  for (const line of lines) {
    if (line.at > until) break;
    switch (line.t) {
      case 'ask':
        asked.set(line.ask, line.at);
        break;
      case 'grant':
        drafts.set(line.permit, {
          grant: line,
          promises: [{ from: line.at, to: line.at + line.remaining }],
        });
        break;
      case 'held':
        for (const [permit, remaining] of line.permits)
          drafts.get(permit)?.promises.push({ from: line.at, to: line.at + remaining });
        break;
      case 'lost':
        end(drafts.get(line.permit), line.at, 'lost', line.reason);
        break;
      case 'release':
        end(drafts.get(line.permit), line.at, 'released', '');
        break;
    }
  }
  return [...drafts.values()].map((draft) => {
    const { grant, promises } = draft;
    if (killedAt < (draft.end?.at ?? Infinity)) draft.end = { at: killedAt, ending: 'killed', reason: '' };
    const { at, ending, reason } = draft.end ?? { at: until, ending: 'silent', reason: '' };
    return {
      client,
      run,
      permit: grant.permit,
      name: grant.name,
      slots: grant.slots,
      token: BigInt(grant.token),
      askedAt: asked.get(grant.ask) ?? grant.at,
      grantedAt: grant.at,
      segments: joined(promises, at),
      promised: Math.max(...promises.filter(({ from }) => from <= at).map(({ to }) => to)),
      ending,
      endedAt: at,
      reason,
    };
  });
}

function end(draft: Draft | undefined, at: number, ending: Ending, reason: string): void {
  if (draft !== undefined) draft.end ??= { at, ending, reason };
}

function joined(promises: readonly Segment[], end: number): Segment[] {
  const segments: { from: number; to: number }[] = [];
  for (const { from, to } of promises) {
    const last = segments.at(-1);
    const until = Math.min(to, end);
    if (until <= from) continue;
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, until);
    else segments.push({ from, to: until });
  }
  return segments;
}
