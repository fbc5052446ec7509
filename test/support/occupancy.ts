/** The number of a slot, or the name of a place that is held like one. */
export type Place = number | string;

/** One process, one permit: it went into a slot, or came out of it. Times are of one clock for all processes. */
export interface Step {
  readonly type: 'enter' | 'leave';
  readonly name: string;
  readonly slot: Place;
  readonly permit: string;
  /** Fencing token. */
  readonly token: string;
  readonly at: number;
}

/** Two permits in one slot at the same time. */
export interface Overlap {
  readonly name: string;
  readonly slot: Place;
  readonly permits: readonly [string, string];
  readonly from: number;
  readonly ms: number;
}

/** A permit that came later into a slot with a token that is not larger. */
export interface TokenFault {
  readonly name: string;
  readonly slot: Place;
  readonly tokens: readonly [string, string];
}

export interface Occupancy {
  /** Highest number of slots occupied at once, by name. */
  readonly peak: Readonly<Record<string, number>>;
  readonly overlaps: readonly Overlap[];
  readonly tokenFaults: readonly TokenFault[];
  /** How many stays were seen. */
  readonly stays: number;
}

interface Stay {
  readonly name: string;
  readonly slot: Place;
  readonly permit: string;
  readonly token: string;
  readonly from: number;
  to: number;
}

/** What the merged logs of all processes say. A stay that nobody was seen to end lasts for ever. */
export function occupancy(...logs: readonly (readonly Step[])[]): Occupancy {
  const stays = toStays(logs.flat());
  const peak: Record<string, number> = {};
  for (const [name, some] of groupBy(stays, (stay) => stay.name)) peak[name] = highest(some);
  const overlaps: Overlap[] = [];
  const tokenFaults: TokenFault[] = [];
  for (const [, some] of groupBy(stays, (stay) => `${stay.slot} ${stay.name}`)) {
    some.sort((a, b) => a.from - b.from);
    let longest: Stay | undefined;
    for (const stay of some) {
      const { name, slot, from } = stay;
      if (longest !== undefined) {
        if (stay.permit !== longest.permit && from < longest.to) {
          const ms = Math.min(longest.to, stay.to) - from;
          overlaps.push({ name, slot, permits: [longest.permit, stay.permit], from, ms });
        }
        if (stay.permit !== longest.permit && BigInt(stay.token) <= BigInt(longest.token))
          tokenFaults.push({ name, slot, tokens: [longest.token, stay.token] });
      }
      if (longest === undefined || stay.to >= longest.to) longest = stay;
    }
  }
  return { peak, overlaps, tokenFaults, stays: stays.length };
}

function toStays(steps: readonly Step[]): Stay[] {
  const stays: Stay[] = [];
  const open = new Map<string, Stay>();
  // Of two steps at the same instant the way out comes first, except for a stay of no length.
  const sorted = [...steps].sort((a, b) => a.at - b.at || (a.permit === b.permit ? 0 : rank(a) - rank(b)));
  for (const { type, name, slot, permit, token, at } of sorted) {
    const id = `${permit} ${slot} ${name}`;
    if (type === 'enter') {
      if (open.has(id)) throw new Error(`permit ${permit} entered slot ${slot} of ${name} twice`);
      const stay = { name, slot, permit, token, from: at, to: Infinity };
      open.set(id, stay);
      stays.push(stay);
    } else {
      const stay = open.get(id);
      if (stay === undefined)
        throw new Error(`permit ${permit} left slot ${slot} of ${name} without entering`);
      stay.to = at;
      open.delete(id);
    }
  }
  return stays;
}

const rank = ({ type }: Step): number => (type === 'leave' ? 0 : 1);

function highest(stays: readonly Stay[]): number {
  const changes = stays.flatMap(({ from, to }) => [
    { at: from, by: 1 },
    { at: to, by: -1 },
  ]);
  changes.sort((a, b) => a.at - b.at || a.by - b.by);
  let now = 0;
  let most = 0;
  for (const { by } of changes) most = Math.max(most, (now += by));
  return most;
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
}
