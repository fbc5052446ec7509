import type { History } from '../history';
import type { Violation } from './violation';

export interface Evidence {
  readonly violation: Violation;
  /** Lines around it, in the order of time; times are relative to it. */
  readonly lines: readonly string[];
}

const AROUND_MS = 6_000;
const MAX_LINES = 60;

/** All that was written down about the permits, the primitive and the clients concerned, around the time of it. */
export function evidenceOf({ runs, faults, stream }: History, violation: Violation): Evidence {
  const { at: zero, permits, name } = violation;
  const near = ({ at }: { at: number }): boolean => Math.abs(at - zero) <= AROUND_MS;
  const concerns = (text: string): boolean => permits.some((permit) => text.includes(permit));
  const lines: { at: number; text: string }[] = [];
  const add = (at: number, who: string, what: object): void =>
    void lines.push({
      at,
      text: `${(at - zero).toFixed(1).padStart(9)} ${who.padEnd(7)} ${JSON.stringify(what)}`,
    });
  for (const line of faults) if (near(line)) add(line.at, 'fault', { ...line, stderr: undefined });
  for (const { client, run, lines: all } of runs)
    for (const line of all) {
      if (!near(line)) continue;
      if (line.t === 'held') {
        const own = line.permits.filter(([permit]) => permits.includes(permit));
        if (own.length > 0) add(line.at, `${client}.${run}`, { t: 'held', permits: own });
      } else if (permits.length > 0 ? concerns(JSON.stringify(line)) : 'name' in line && line.name === name)
        add(line.at, `${client}.${run}`, line);
    }
  for (const line of stream) {
    const own = name === undefined ? false : line.key.split('.')[1] === name;
    if (near(line) && (concerns(line.value ?? '') || own))
      add(line.storedAt, 'stream', { ...line, storedAt: undefined });
  }
  lines.sort((a, b) => a.at - b.at);
  const nearest = [...lines]
    .sort((a, b) => Math.abs(a.at - zero) - Math.abs(b.at - zero))
    .slice(0, MAX_LINES);
  return { violation, lines: lines.filter((line) => nearest.includes(line)).map(({ text }) => text) };
}
