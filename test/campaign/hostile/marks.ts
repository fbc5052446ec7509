import { VOID } from '../load';

/** The hostile client writes it among the headers of all its messages, so that the checker knows them. Clients ignore it. */
export const HOSTILE_HEADER = 'Campaign-Hostile';

/** How the ids of its tickets, wishes, readers and shares begin. */
export const HOSTILE_ID = 'hostile-';

/** What it calls itself. Clients hand slots off to its tickets, which it does not take: its right, and they are free when the hand-off ends. */
export const HOSTILE_HOLDER = 'hostile';

/** Whether only the hostile client writes under a key: what it has the server store has no header of its own. */
export function isHostileKey(key: string): boolean {
  const [, name = '', , id = ''] = key.split('.');
  return name in VOID || id.startsWith(HOSTILE_ID);
}
