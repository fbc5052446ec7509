import type { Belief } from './beliefs';
import type { Hold } from './holds';

/**
 * The hold of each slot that a client believes in, by its token. The same permit may have had the slot before: a claim that
 * was not answered is sent again, and if the first had run out meanwhile, stored again.
 */
export function believedHolds(beliefs: readonly Belief[], holds: readonly Hold[]): Map<Belief, Hold[]> {
  const byPermit = new Map<string, Hold[]>();
  for (const hold of holds) byPermit.set(hold.permit, [...(byPermit.get(hold.permit) ?? []), hold]);
  return new Map(
    beliefs.map((belief) => {
      const own = byPermit.get(belief.permit) ?? [];
      const latest = belief.slots.flatMap((slot) => {
        const hold = own.findLast(
          (each) => each.slot === slot && each.from <= belief.grantedAt + CLOCK_ERROR_MS,
        );
        return hold === undefined ? [] : [hold];
      });
      return [belief, latest];
    }),
  );
}

/** Times of the server are whole ms, and so is what puts them on our clock. */
export const CLOCK_ERROR_MS = 2;
