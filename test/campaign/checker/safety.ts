import { type Step, occupancy } from '../../support/occupancy';
import { readWriteReport } from '../../support/read-write-log';
import { fencingToken, revisionOf, useOf } from '../../support/token';
import type { Job } from '../load';
import type { Belief } from './beliefs';
import { CLOCK_ERROR_MS, believedHolds } from './believed-holds';
import { type Hold, type StreamStory, WRITER } from './holds';
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
    ...checkReadWrite(beliefs, jobs),
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

/** At no moment does somebody believe in a permit to write while anyone else believes in one of the same lock. */
function checkReadWrite(beliefs: readonly Belief[], jobs: readonly Job[]): Violation[] {
  return jobs
    .filter(({ kind }) => kind === 'read-write-lock')
    .flatMap(({ name }) => {
      const stays = beliefs
        .filter((belief) => belief.name === name)
        .flatMap(({ segments, slots, permit, token }) =>
          segments.map(({ from, to }) => ({
            mode: slots.includes(WRITER) ? ('write' as const) : ('read' as const),
            permit,
            token,
            from,
            to,
          })),
        );
      const { overlaps, tokenFaults } = readWriteReport(stays);
      return [
        ...overlaps.map(([one, other]) => ({
          kind: 'written while held',
          at: other.from,
          message:
            `${name} was believed held by ${one.permit} (${one.mode}) and ${other.permit} (${other.mode}) ` +
            `for ${(Math.min(one.to, other.to) - other.from).toFixed(1)} ms`,
          permits: [one.permit, other.permit],
          name,
        })),
        ...tokenFaults.map(([one, other]) => ({
          kind: 'token did not grow',
          at: other.from,
          message: `${name}: token ${other.token} (${other.mode}) came after ${one.token} (${one.mode})`,
          permits: [one.permit, other.permit],
          name,
        })),
      ];
    });
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
  const forged = new Map(
    holds
      .filter(({ hostile }) => hostile === 'forgery')
      .flatMap((hold) => hold.revisions.map((revision) => [revision, hold] as const)),
  );
  for (const [belief, own] of believedHolds(beliefs, holds)) {
    const { permit, name, client } = belief;
    const about = { permits: [permit], name, client };
    // One that can not be read names no permit.
    const named = forged.get(revisionOf(belief.token));
    if (named?.name === name || own.some(({ hostile }) => hostile === 'forgery'))
      found.push({
        ...about,
        kind: 'granted from a forgery',
        at: belief.grantedAt,
        message: `${permit} of ${name} was believed on the word of the hostile client, by what is no gift to a ticket`,
      });
    const granted = own.filter((hold) => hold.permit === permit);
    const claims = granted.map(({ claim }) => claim ?? 0);
    const complete = claims.length === belief.slots.length && !claims.includes(0);
    // A gift of the hostile client may say that it is a later grant; its receiver counts from the revision alone.
    const use = granted[0]?.hostile === 'gift' ? 0 : (granted[0]?.use ?? 0);
    if (complete && fencingToken(Math.max(...claims), use) !== belief.token)
      found.push({
        ...about,
        kind: 'wrong token',
        at: belief.grantedAt,
        message: `${permit} of ${name} has token ${belief.token}, its claims have revisions ${claims.join(', ')}`,
      });
    if (useOf(belief.token) > 0 && own.length === 0 && isRecorded(belief, holds))
      found.push({
        ...about,
        kind: 'granted from nothing',
        at: belief.grantedAt,
        message: `${permit} of ${name} has token ${belief.token}, but its client had no hold of that revision`,
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

/** Whether it is known what was stored under the revision that a token names. */
function isRecorded({ token }: Belief, holds: readonly Hold[]): boolean {
  const revision = revisionOf(token);
  return holds.some(({ revisions }) => revisions.includes(revision));
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
