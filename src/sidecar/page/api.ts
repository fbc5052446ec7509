import type { AnyStatus } from '../schemas';

/** What the page asks of the sidecar, and the token it does so with: from the address (`#token=...`), else typed in. */
const KEY = 'nats-semaphore-token';

export const readOnly = document.documentElement.dataset.readOnly === 'true';

/** Returns whether there was one. */
export function takeTokenFromAddress(): boolean {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given === null) return false;
  keepToken(given);
  // It must not stay in the history, nor be sent on with the address.
  history.replaceState(null, '', location.pathname);
  return true;
}

export function keepToken(token: string): void {
  sessionStorage.setItem(KEY, token);
}

export function authorization(): Record<string, string> {
  const token = sessionStorage.getItem(KEY);
  return token === null ? {} : { authorization: `Bearer ${token}` };
}

const PATHS: Readonly<Record<string, string>> = {
  semaphore: 'semaphores',
  mutex: 'mutexes',
  'read-write-lock': 'read-write-locks',
};

/** Resolves with whether it was still held; rejects with why it could not be done. */
export async function forceRelease({ kind, name }: AnyStatus, permitId: string): Promise<boolean> {
  const path = `/v1/${PATHS[kind]}/${encodeURIComponent(name)}/permits/${encodeURIComponent(permitId)}`;
  const response = await fetch(path, { method: 'DELETE', headers: authorization() });
  const body = (await response.json()) as { released?: boolean; detail?: string };
  if (!response.ok) throw new Error(body.detail ?? `the sidecar answered ${response.status}`);
  return body.released === true;
}
