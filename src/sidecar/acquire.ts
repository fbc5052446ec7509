import type { FastifyReply } from 'fastify';
import { caughtUp } from '../runtime/clock';
import { onAbort } from '../runtime/on-abort';
import { DEFAULT_TTL_MS } from '../api/option-checks';
import type { Permit } from '../api/permit';
import { hangUp, underAnyOf } from './caller';
import type { SidecarContext } from './context';
import type { PermitView, Terms } from './permits';
import { Problem, invalid, toProblem } from './problem';
import type { SemaphoreRequest } from './schemas';
import type { Session } from './session';

/** What a primitive is told of an acquire. */
export interface Order {
  readonly count?: number;
  readonly timeout?: number;
  readonly ttl: number;
  readonly metadata?: Record<string, string>;
  readonly autoRenew: boolean;
  readonly signal: AbortSignal;
}

/**
 * Waits for a permit on behalf of a caller. The wait ends when he hangs up, when his session ends or when the sidecar is about to.
 * A permit that he can not be told of any more is given back.
 *
 * @param take how to acquire from the primitive
 */
export async function acquireFor(
  context: SidecarContext,
  reply: FastifyReply,
  what: Pick<Terms, 'kind' | 'name' | 'mode'>,
  body: SemaphoreRequest,
  take: (order: Order) => Promise<Permit>,
): Promise<PermitView> {
  const { drain, permits, waiters } = context;
  drain.check();
  const session = sessionOf(context, body.session);
  const gone = hangUp(reply);
  const { count, timeout, metadata, ttl = DEFAULT_TTL_MS } = body;
  const signals = [gone, drain.signal, ...(session ? [session.signal] : [])];
  const view = await waiters.during(() =>
    underAnyOf(signals, async (signal) => {
      const order = { count, timeout, metadata, ttl, autoRenew: session !== undefined, signal };
      const permit = await measured(context, what.kind, () => take(order));
      // He may have hung up before the grant without our having heard of it: once the answer is written it is his.
      await caughtUp();
      if (signal.aborted) {
        await permit[Symbol.asyncDispose]();
        throw signal.reason;
      }
      return permits.add(permit, { ...what, ttl, session });
    }),
  );
  onAbort(gone, () => void permits.releaseAll([view.id]));
  return view;
}

function sessionOf({ sessions }: SidecarContext, id: string | undefined): Session | undefined {
  if (id === undefined) return undefined;
  try {
    return sessions.get(id);
  } catch (error) {
    const problem = toProblem(error);
    throw problem.status === 404 ? invalid('session', 'is not known here') : problem;
  }
}

async function measured(
  { clock, metrics }: SidecarContext,
  kind: string,
  take: () => Promise<Permit>,
): Promise<Permit> {
  const since = clock.now();
  const end = (outcome: string): void => metrics.waitEnded((clock.now() - since) / 1000, { kind, outcome });
  metrics.waitBegan();
  try {
    const permit = await take();
    end('granted');
    return permit;
  } catch (error) {
    end(error instanceof Problem ? error.code : toProblem(error).code);
    throw error;
  }
}
