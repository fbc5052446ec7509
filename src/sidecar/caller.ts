import type { FastifyReply } from 'fastify';
import { abortWith } from '../runtime/on-abort';

/** Why a wait ended of which nobody is left to be told. */
export class HungUp extends Error {
  constructor() {
    super('the caller hung up');
  }
}

/** Aborts when the caller hangs up before it has the whole answer; never after that. */
export function hangUp(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  const { raw } = reply;
  const closed = (): void => {
    // Only what was handed to the network as a whole counts as answered.
    if (!raw.writableFinished) gone.abort(new HungUp());
  };
  if (raw.destroyed) closed();
  else raw.once('close', closed);
  return gone.signal;
}

/** Aborts as soon as one of them does, for as long as `work` runs: afterwards none of them keeps anything of it. */
export async function underAnyOf<T>(
  signals: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const either = new AbortController();
  const unlink = abortWith(either, ...signals);
  try {
    return await work(either.signal);
  } finally {
    unlink();
  }
}
