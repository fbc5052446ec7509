import { type Step, occupancy } from '../../support/occupancy';
import type { Job } from '../load';
import type { Belief } from './beliefs';
import { CLOCK_ERROR_MS, believedHolds } from './believed-holds';
import type { StreamStory } from './holds';
import type { Violation } from './violation';

const READING_ERROR_MS = 1;

/** Beliefs against each other, and against what was stored. */
export function checkSafety(
  beliefs: readonly Belief[],
  story: StreamStory,
  jobs: readonly Job[],
): Violation[] {
  return [
    ...checkOccupancy(beliefs, jobs),
    ...checkStored(beliefs, story),
    ...beliefs.flatMap(checkLoss),
    ...story.violations,
  ];
}

/** At no moment is a slot believed held by two, or more slots held than there are; tokens grow. */
function checkOccupancy(beliefs: readonly Belief[], jobs: readonly Job[]): Violation[] {
  const steps = beliefs.flatMap((belief) => belief.segments.flatMap((segment) => stepsOf(belief, segment)));
  const { overlaps, tokenFaults, peak } = occupancy(steps);
  const at = new Map(beliefs.map(({ permit, grantedAt }) => [permit, grantedAt]));
  const byToken = new Map(beliefs.map(({ token, permit }) => [String(token), permit]));
  return [
    ...overlaps.map(({ name, slot, permits, from, ms }) => ({
      kind: 'held twice',
      at: from,
      message: `slot ${slot} of ${name} was believed held by ${permits.join(' and ')} for ${ms.toFixed(1)} ms`,
      permits,
      name,
    })),
    ...tokenFaults.map(({ name, slot, tokens }) => {
      const permits = tokens.map((token) => byToken.get(token) ?? '');
      return {
        kind: 'token did not grow',
        at: at.get(permits[1] ?? '') ?? 0,
        message: `slot ${slot} of ${name}: token ${tokens[1]} came after ${tokens[0]}`,
        permits,
        name,
      };
    }),
    ...jobs
      .filter(({ name, slots }) => (peak[name] ?? 0) > slots)
      .map(({ name, slots }) => ({
        kind: 'above the limit',
        at: 0,
        message: `${peak[name]} slots of ${name} were believed held at once; there are ${slots}`,
        permits: [],
        name,
      })),
  ];
}

function stepsOf({ name, slots, permit, token }: Belief, { from, to }: { from: number; to: number }): Step[] {
  return slots.flatMap((slot) => {
    const common = { name, slot, permit, token: String(token) };
    return [
      { ...common, type: 'enter' as const, at: from },
      { ...common, type: 'leave' as const, at: to },
    ];
  });
}

/** Whoever believes in a slot has it in the bucket, under the revision that is the token. */
function checkStored(beliefs: readonly Belief[], { holds }: StreamStory): Violation[] {
  const found: Violation[] = [];
  for (const [belief, own] of believedHolds(beliefs, holds)) {
    const { permit, name, client } = belief;
    const about = { permits: [permit], name, client };
    const claims = own.map(({ claim }) => claim ?? 0);
    const complete = claims.length === belief.slots.length && !claims.includes(0);
    if (complete && BigInt(Math.max(...claims)) !== belief.token)
      found.push({
        ...about,
        kind: 'wrong token',
        at: belief.grantedAt,
        message: `${permit} of ${name} has token ${belief.token}, its claims have revisions ${claims.join(', ')}`,
      });
    for (const { slot, to, endedBy } of own) {
      const end = belief.segments.at(-1)?.to ?? -Infinity;
      if (to === undefined || end <= to + CLOCK_ERROR_MS) continue;
      found.push({
        ...about,
        kind: 'believed after its end',
        at: to,
        message: `${permit} was believed for ${(end - to).toFixed(1)} ms after slot ${slot} of ${name} was freed (${endedBy})`,
      });
    }
  }
  return found;
}

/** Nobody takes permits away here: one is lost when its lease has run out, not before. */
function checkLoss({ ending, endedAt, promised, permit, name, client, reason }: Belief): Violation[] {
  if (ending !== 'lost' || endedAt >= promised - READING_ERROR_MS) return [];
  const early = (promised - endedAt).toFixed(0);
  return [
    {
      kind: 'lost too early',
      at: endedAt,
      message: `${permit} of ${name} was lost ${early} ms before the end it had been given: ${reason}`,
      permits: [permit],
      name,
      client,
    },
  ];
}
