import { setTimeout as sleep } from 'node:timers/promises';
import type { AcquireOptions, NatsDispatcher, Permit } from '../../src';
import { monotonicMs } from './monotonic';
import type { Step } from './occupancy';
import { randomFrom, within } from './random';

/** Random acquisitions of one or of both of two semaphores. */
export interface Churn {
  readonly seed: number;
  readonly names: readonly [string, string];
  readonly loops: number;
  /** How many acquisitions together. */
  readonly total: number;
  /** A permit is for so many slots of a semaphore at most. */
  readonly most: number;
  /** Least and most ms after which some run out of time, or are told to stop. */
  readonly patience: readonly [number, number];
}

/** How often each outcome was seen. */
export interface ChurnResult {
  readonly granted: number;
  readonly grantedOnBoth: number;
  readonly timedOut: number;
  /** Out of time with the word that the server did not answer. */
  readonly unanswered: number;
  readonly aborted: number;
  /** More slots than there were just then. */
  readonly tooMany: number;
  /** By themselves, with a permit that the work held. */
  readonly lost: number;
  /** What should not happen. */
  readonly errors: readonly string[];
}

interface Part {
  readonly name: string;
  readonly count: number;
  readonly fair: boolean;
}

type Say = (line: object) => void;

const NOT_NEEDED = new Error('not needed any more');

export async function churn(dispatcher: NatsDispatcher, plan: Churn, say: Say): Promise<ChurnResult> {
  const random = randomFrom(plan.seed);
  const count = { granted: 0, grantedOnBoth: 0, timedOut: 0, unanswered: 0, aborted: 0, tooMany: 0, lost: 0 };
  const errors: string[] = [];
  let left = plan.total;

  const one = async (): Promise<void> => {
    const parts = randomParts(random, plan);
    const abort = new AbortController();
    const options: AcquireOptions = { signal: abort.signal };
    const mood = random();
    let timer: NodeJS.Timeout | undefined;
    if (mood < 0.15) options.timeout = within(random, ...plan.patience);
    else if (mood < 0.3) timer = setTimeout(() => abort.abort(NOT_NEEDED), within(random, ...plan.patience));
    try {
      const permit = await ask(dispatcher, parts, options);
      count.granted++;
      if (parts.length > 1) count.grantedOnBoth++;
      // It counts as granted from here on, whatever comes: so the timer must not end what is under way.
      clearTimeout(timer);
      if (!(await use(permit, parts, random, say))) count.lost++;
    } catch (error) {
      const { code } = error as { code?: string };
      if (error === NOT_NEEDED) count.aborted++;
      else if (code === 'ACQUIRE_TIMEOUT') count.timedOut++;
      else if (code === 'BACKEND_UNAVAILABLE') count.unanswered++;
      else if (error instanceof RangeError && error.message.includes('the number of slots of')) {
        count.tooMany++;
        // It would be refused again until the limit is raised.
        await sleep(within(random, 0, 100));
      } else errors.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
    } finally {
      clearTimeout(timer);
    }
  };
  const loop = async (): Promise<void> => {
    while (left-- > 0) await one();
  };
  await Promise.all(Array.from({ length: plan.loops }, loop));
  return { ...count, errors };
}

function randomParts(random: () => number, { names, most }: Churn): Part[] {
  const parts = names.map((name) => ({ name, count: within(random, 1, most), fair: random() < 0.5 }));
  if (random() < 0.5) parts.reverse();
  return random() < 0.4 ? parts : parts.slice(0, 1);
}

function ask(dispatcher: NatsDispatcher, parts: readonly Part[], options: AcquireOptions): Promise<Permit> {
  const [first, ...others] = parts as [Part, ...Part[]];
  if (others.length === 0)
    return dispatcher
      .semaphore(first.name, undefined, { fair: first.fair })
      .acquire({ ...options, count: first.count });
  const wants = parts.map(({ name, count, fair }) => ({
    semaphore: dispatcher.semaphore(name, undefined, { fair }),
    count,
  }));
  return dispatcher.acquireAll(wants, options);
}

/** Holds for a moment, and gives back all at once or first a part of it. Returns whether it was held to the end. */
async function use(permit: Permit, parts: readonly Part[], random: () => number, say: Say): Promise<boolean> {
  const names = parts.flatMap(({ name, count }) => Array.from({ length: count }, () => name));
  const stays = permit.slots.map((slot, i) => ({ slot, name: names[i] ?? '' }));
  const token = String(permit.fencingToken);
  const log = (type: Step['type'], some: readonly { slot: number; name: string }[]): void => {
    const at = monotonicMs();
    for (const { slot, name } of some) say({ type, name, slot, permit: permit.id, token, at } satisfies Step);
  };
  log('enter', stays);
  await sleep(within(random, 0, 4));
  if (stays.length > 1 && random() < 0.2) {
    // Which of them it gives back is not said: it has to stop using all.
    log('leave', stays.splice(0));
    await permit.release(1);
    await sleep(1);
  }
  const held = permit.isHeld;
  log('leave', stays);
  const released = await permit.release();
  return held && released;
}
