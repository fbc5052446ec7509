import type { AnyStatus } from '../schemas';

/** Durations and numbers as people read them. */

export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export const plural = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

export const KIND_NAME: Readonly<Record<AnyStatus['kind'], string>> = {
  semaphore: 'Semaphore',
  mutex: 'Mutex',
  'read-write-lock': 'Read-write lock',
  latch: 'Latch',
};

/** How many permits or slots of it are held, and of how many; undefined where there is no such number. */
export function occupancy(status: AnyStatus): { held: number; of: number | undefined } {
  if (status.kind === 'latch') return { held: status.count, of: status.total };
  if (status.kind === 'read-write-lock') return { held: status.holders.length, of: undefined };
  return { held: status.holders.reduce((sum, { slots }) => sum + slots.length, 0), of: status.slots };
}

export function summary(status: AnyStatus): string {
  const { held, of } = occupancy(status);
  if (status.kind === 'latch') return of === undefined ? 'not set' : `${held} of ${of} left`;
  if (status.kind === 'read-write-lock') {
    if (held === 0) return 'free';
    return status.holders[0]?.mode === 'write' ? '1 writing' : `${held} reading`;
  }
  return `${held} of ${of} held`;
}

export const waitersOf = (status: AnyStatus): number => (status.kind === 'latch' ? 0 : status.waiters.length);

/** Neither red nor amber: those mean trouble. In the order in which they are given out, so that neighbours differ most. */
const HUES = [255, 160, 315, 200, 125, 285, 345, 230, 180, 300];
const hues = new Map<string, number>();

/** The hue of a holder: the same one everywhere. More holders than there are hues share them. */
export function hueOf(holder: string): number {
  const hue = hues.get(holder) ?? HUES[hues.size % HUES.length] ?? 255;
  hues.set(holder, hue);
  return hue;
}

/** Numbers of slots, those in a row as one range. */
export function ranges(slots: readonly number[]): string {
  const found: [number, number][] = [];
  for (const slot of slots) {
    const last = found.at(-1);
    if (last !== undefined && slot === last[1] + 1) last[1] = slot;
    else found.push([slot, slot]);
  }
  return found
    .map(([from, to]) => (from === to ? from : `${from}${to === from + 1 ? ', ' : '–'}${to}`))
    .join(', ');
}
