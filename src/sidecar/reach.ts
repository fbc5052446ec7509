import { Abort } from '../runtime/cancellation';
import { type Clock, sleep } from '../runtime/clock';
import type { Backend } from './options';

/** How long the server has to answer, in ms. */
const ANSWER_MS = 2_000;
/** Nobody's; it is only asked about. */
const PROBE = 'nats-semaphore/reach';

/** How long an answer holds, in ms: many probes are one request. */
const FRESH_MS = 1_000;

/** Whether the server can be reached, asked at most once a second however many want to know. */
export class Reach {
  private answer: Promise<string | undefined> | undefined;

  constructor(
    private readonly dispatcher: Backend,
    private readonly clock: Clock,
  ) {}

  /** Why it can not be asked; undefined if it answers. Up to a second old. */
  whyUnreachable(): Promise<string | undefined> {
    this.answer ??= whyUnreachable(this.dispatcher, this.clock).finally(() => {
      this.clock.after(FRESH_MS, () => (this.answer = undefined));
    });
    return this.answer;
  }
}

/** Asks the server something, and resolves with why it can not be asked; undefined if it answered. */
async function whyUnreachable(dispatcher: Backend, clock: Clock): Promise<string | undefined> {
  const down = dispatcher.trouble;
  const done = new Abort();
  const asked = dispatcher
    .mutex(PROBE)
    .isLocked()
    .then(
      () => undefined,
      (error: Error) => error.message,
    );
  const late = sleep(clock, ANSWER_MS, done.signal).then(
    () => down?.message ?? `the NATS server did not answer within ${ANSWER_MS} ms`,
  );
  try {
    return await Promise.race([asked, late]);
  } finally {
    done.abort();
  }
}

/**
 * Why only a restart helps: the connection is closed for good, or has been gone for longer than `unhealthyAfter` ms. Undefined if
 * none is needed. Asks nobody.
 */
export function whyUnhealthy({ contact, trouble }: Backend, unhealthyAfter: number): string | undefined {
  const { goneMs, state } = contact;
  if (state !== 'closed' && goneMs <= unhealthyAfter) return undefined;
  return trouble?.message ?? `there has been no connection to NATS for ${Math.round(goneMs)} ms`;
}
