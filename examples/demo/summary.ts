import type { Board, Hold } from './board';
import { SLOTS, TAKEOVER_LIMIT_MS, TTL_MS, WORKERS } from './settings';

export interface Summary {
  readonly lines: string[];
  readonly failures: string[];
}

/** How many were inside at once at most, by their own account. */
export function highestOccupancy(holds: readonly Hold[]): number {
  const steps = holds.flatMap(({ from, until }) => [
    { at: from, step: 1 },
    { at: until ?? Infinity, step: -1 },
  ]);
  // Of an entry and an exit at the same instant the entry counts first.
  steps.sort((a, b) => a.at - b.at || b.step - a.step);
  let inside = 0;
  let highest = 0;
  for (const { step } of steps) {
    inside += step;
    highest = Math.max(highest, inside);
  }
  return highest;
}

/** The figures, and which of them are not as they must be. */
export function summarize(board: Board, server: string): Summary {
  const { holds, killed, successor } = board;
  const failures: string[] = [];
  const highest = highestOccupancy(holds);
  if (highest !== SLOTS) failures.push(`the highest occupancy was ${highest}, not exactly ${SLOTS}`);
  if (!tokensGrow(holds)) failures.push('a fencing token was not larger than the one before it in its slot');

  let takeover = 'none';
  if (killed?.until === undefined || successor === undefined) {
    failures.push('no slot was taken over from a killed worker');
  } else {
    const took = successor.from - killed.until;
    takeover =
      `${seconds(took)}: slot ${killed.slot} of worker ${killed.worker}, killed, to worker ${successor.worker}` +
      ` (limit: ttl ${TTL_MS / 1_000} s + 1 s)`;
    if (took > TAKEOVER_LIMIT_MS) failures.push(`the takeover took ${seconds(took)}`);
  }
  const waits = [...board.waits].sort((a, b) => a - b);
  const median = waits[Math.floor((waits.length - 1) / 2)] ?? 0;
  const rows: [string, string][] = [
    ['server', server],
    ['acquisitions', `${holds.length} by ${WORKERS} processes`],
    ['highest occupancy', `${highest} of ${SLOTS}, by what the workers logged on entering and leaving`],
    ['waits', `p50 ${seconds(median)}, max ${seconds(waits.at(-1) ?? 0)}`],
    ['takeover', takeover],
  ];
  return { lines: rows.map(([name, value]) => `  ${name.padEnd(18)} ${value}`), failures };
}

export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`;
}

function tokensGrow(holds: readonly Hold[]): boolean {
  const newest = new Map<number, bigint>();
  return [...holds]
    .sort((a, b) => a.from - b.from)
    .every(({ slot, token }) => {
      const grew = token > (newest.get(slot) ?? -1n);
      newest.set(slot, token);
      return grew;
    });
}
