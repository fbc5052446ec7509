import { machineTime, sleep, systemClock } from '../../runtime/clock';
import { Abort } from '../../runtime/cancellation';
import { onAbort } from '../../runtime/on-abort';
import type { Permit } from '../../api/permit';
import { EXIT } from '../exit-codes';
import type { Output } from '../output';
import type { Ending, KeeperLink } from './keeper-link';
import { TOO_LATE } from './messages';
import { endAll, isAlive } from './process-group';
import { numberOf } from './signals';
import type { Terms } from './terms';

export interface Job {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** What the command is given, beside what it is told of its permit. */
  readonly env: NodeJS.ProcessEnv;
  readonly terms: Terms;
}

/** How often the keeper is told of the lease, at least. */
const TELL_EVERY_MS = 1_000;
const TELL_SHARE = 1 / 10;

/**
 * Runs the command under the permit. Resolves when nothing of it is left, with the exit status: until then the permit must not be
 * released.
 */
export async function supervise(
  job: Job,
  permit: Permit,
  keeper: KeeperLink,
  output: Output,
): Promise<number> {
  const { grace, slack } = job.terms;
  permit.signal.throwIfAborted();
  keeper.start({
    command: job.command,
    args: job.args,
    env: { ...job.env, ...environmentOf(job.name, permit) },
    grace,
    startBefore: deadlineOf(permit, 0),
    deadline: deadlineOf(permit, slack),
  });
  const over = new Abort();
  void tellOfLease(permit, keeper, job.terms, over);
  try {
    await Promise.race([keeper.ended, lost(permit)]);
    await keeper.started;
    // One that has ended before the loss was noticed has done all of its work under the permit.
    const { target } = keeper;
    const wasLost = !permit.isHeld && target !== undefined && isAlive(target);
    if (wasLost) {
      const { message } = permit.signal.reason as Error;
      output.note({ event: 'lost', permitId: permit.id, message }, `${message}; the command is ended`);
    }
    // Also what the command has left behind in its group: nothing goes on without the permit.
    if (target !== undefined && !(await endAll(target, grace))) {
      output.note({ event: 'survivors', processGroup: Math.abs(target) }, 'something survived SIGKILL');
    }
    const status = statusOf(job, await keeper.ended, permit, output);
    return wasLost ? EXIT.permitLost : status;
  } finally {
    over.abort();
  }
}

/** What a command is told of its permit. */
function environmentOf(name: string, permit: Permit): Record<string, string> {
  return {
    NATS_SEMAPHORE_NAME: name,
    NATS_SEMAPHORE_PERMIT_ID: permit.id,
    NATS_SEMAPHORE_SLOTS: permit.slots.join(','),
    NATS_SEMAPHORE_FENCING_TOKEN: permit.fencingToken.toString(),
  };
}

function lost(permit: Permit): Promise<'lost'> {
  return new Promise((resolve) => void onAbort(permit.signal, () => resolve('lost')));
}

async function tellOfLease(permit: Permit, keeper: KeeperLink, terms: Terms, over: Abort): Promise<void> {
  const every = Math.min(TELL_EVERY_MS, terms.ttl * TELL_SHARE);
  for (;;) {
    await sleep(systemClock, every, over.signal, { keepAlive: true });
    if (over.signal.aborted || !permit.isHeld) return;
    keeper.hold(deadlineOf(permit, terms.slack));
  }
}

function deadlineOf(permit: Permit, slack: number): number {
  // In this order: what passes between the two readings is to make it earlier, not later.
  const now = machineTime();
  return now + permit.remaining + slack;
}

function statusOf(job: Job, ending: Ending, permit: Permit, output: Output): number {
  switch (ending.type) {
    case 'ended': {
      const { byKeeper, code, signal } = ending;
      output.note({ event: 'ended', permitId: permit.id, code, signal });
      // It does when this process has not seen to it in time, having been stopped itself.
      if (byKeeper) return EXIT.permitLost;
      return signal === null ? (code ?? EXIT.failure) : EXIT.signal + numberOf(signal);
    }
    case 'not-started': {
      const { code, message } = ending;
      if (code === TOO_LATE) {
        output.note({ event: 'lost', permitId: permit.id, message }, message);
        return EXIT.permitLost;
      }
      const found = code !== 'ENOENT';
      output.note(
        { event: 'not-started', code, message },
        `${job.command}: ${found ? `it can not be executed (${message})` : 'command not found'}`,
      );
      return found ? EXIT.notExecutable : EXIT.notFound;
    }
    case 'keeper-gone':
      output.note(
        { event: 'keeper-gone' },
        'the process that looks after the command was killed; the command is ended',
      );
      return EXIT.permitLost;
  }
}
