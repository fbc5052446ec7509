import type { Change } from './history';
import { Replay, isGrant } from './replay';

/** A grant that left more slots granted than the limit that was in force allows. */
export interface Excess {
  readonly name: string;
  readonly revision: number;
  readonly permit: string;
  readonly granted: number;
  readonly limit: number;
}

export interface GrantReport {
  /** Permits of which a claim was stored. */
  readonly claimed: ReadonlySet<string>;
  readonly excesses: readonly Excess[];
  /** Highest number of slots granted at once, by name. */
  readonly peak: Readonly<Record<string, number>>;
  /** Revisions at which earlier holders were above a lowered limit. */
  readonly overhangs: number;
  /** Permits whose slots were not all claimed by messages that follow one on another. */
  readonly torn: readonly string[];
  /** Keys that hold a value at the end, other than limits. */
  readonly left: readonly string[];
}

/**
 * Goes through all that was stored. A claim counts as a grant if its user was told of the permit; others were taken back.
 * @param told ids of the permits of which a user was told
 */
export function replayGrants(
  names: readonly string[],
  changes: readonly Change[],
  told: ReadonlySet<string>,
): GrantReport {
  const replays = names.map((name) => ({ name, replay: new Replay(name) }));
  const excesses: Excess[] = [];
  const peak: Record<string, number> = {};
  const claims = new Map<string, number[]>();
  let overhangs = 0;
  for (const [i, change] of changes.entries()) {
    for (const { name, replay } of replays) {
      const deed = replay.apply(change);
      if (deed === undefined) continue;
      const granted = [...replay.holds.values()].filter(({ permit }) => told.has(permit)).length;
      peak[name] = Math.max(peak[name] ?? 0, granted);
      if (deed === 'limit set' && granted > replay.limit) overhangs++;
      if (!isGrant(deed)) continue;
      const permit = permitOf(changes[i]!);
      claims.set(permit, [...(claims.get(permit) ?? []), change.revision]);
      if (told.has(permit) && granted > replay.limit)
        excesses.push({ name, revision: change.revision, permit, granted, limit: replay.limit });
    }
  }
  const torn = [...claims]
    .filter(([, at]) => at.at(-1)! - at[0]! !== at.length - 1)
    .map(([permit]) => permit);
  const left = replays.flatMap(({ name, replay }) => [
    ...[...replay.holds.keys()].map((slot) => `sem.${name}.slot.${slot}`),
    ...[...replay.tickets.keys()].map((id) => `sem.${name}.ticket.${id}`),
  ]);
  return { claimed: new Set(claims.keys()), excesses, peak, overhangs, torn, left };
}

function permitOf({ value }: Change): string {
  return (JSON.parse(value ?? '{}') as { permit?: string }).permit ?? '';
}
