import { sleep, systemClock } from '../../runtime/clock';
import { abortWith } from '../../runtime/on-abort';
import type { Dispatcher } from '../../api/dispatcher';
import { BackendUnavailableError } from '../../errors';
import { type AnyStatus, type Kind, findAll, handleOf } from '../primitives';

/** How often it is looked for primitives that have come or gone. Changes of those that are known are told by the server. */
const DISCOVER_MS = 2_000;

export interface Followed {
  readonly name: string | undefined;
  readonly kind: Kind | undefined;
  readonly signal: AbortSignal;
  /** One of them is as follows now. */
  readonly changed: (status: AnyStatus) => void;
  /** It is not there any more. */
  readonly gone: (key: string) => void;
  /** Whether the server answered when last asked. */
  readonly reachable: (yes: boolean) => void;
}

/** What a primitive is known by: kinds may share a name. */
export const keyOf = ({ kind, name }: { kind: string; name: string }): string => `${kind} ${name}`;

/** Follows everything of that name and kind, until the signal aborts. */
export async function follow(dispatcher: Dispatcher, followed: Followed): Promise<void> {
  const watches = new Map<string, AbortController>();
  const stopping = new AbortController();
  const unlink = abortWith(stopping, followed.signal);
  const stop = stopping.signal;
  let failure: { readonly error: unknown } | undefined;
  try {
    while (!stop.aborted) {
      const found = await discover(dispatcher, followed);
      if (found !== undefined) {
        const keys = new Set(found.map(keyOf));
        for (const [key, watch] of watches) {
          if (keys.has(key)) continue;
          watch.abort();
          watches.delete(key);
          followed.gone(key);
        }
        for (const one of found) {
          if (watches.has(keyOf(one))) continue;
          const end = new AbortController();
          watches.set(keyOf(one), end);
          watch(handleOf(dispatcher, one).watch({ signal: end.signal }), followed).catch((error: unknown) => {
            failure ??= { error };
            stopping.abort();
          });
        }
      }
      await sleep(systemClock, DISCOVER_MS, stop, { keepAlive: true });
    }
  } finally {
    unlink();
    for (const end of watches.values()) end.abort();
  }
  if (failure !== undefined) throw failure.error;
}

async function discover(
  dispatcher: Dispatcher,
  { kind, name, reachable }: Followed,
): Promise<Awaited<ReturnType<typeof findAll>> | undefined> {
  try {
    const found = await findAll(dispatcher, name, kind);
    reachable(true);
    return found;
  } catch (error) {
    if (!(error instanceof BackendUnavailableError)) throw error;
    reachable(false);
    return undefined;
  }
}

async function watch(statuses: AsyncIterable<AnyStatus>, { changed }: Followed): Promise<void> {
  for await (const status of statuses) changed(status);
}
