import type { Aborting } from './cancellation';
import { onAbort } from './on-abort';

/**
 * The only file that reads time or sets timers (lint enforces it). All other code is given a {@link Clock}, so that
 * tests can pass one of their own.
 */
export interface Clock {
  /** Milliseconds on a clock that never jumps and never goes backwards. Only differences between readings have a meaning. */
  now(): number;
  /** Milliseconds since 1970, for people to read. No decision is based on it. */
  wallTime(): number;
  /** Runs `callback` once, no earlier than `ms` from now. The returned function cancels it. */
  after(ms: number, callback: () => void, options?: TimerOptions): () => void;
}

export interface TimerOptions {
  /** Whether a pending timer keeps the process alive. Default false. */
  keepAlive?: boolean;
}

/** Longest delay that Node's timers accept, in ms. A longer one would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * The machine's own clock. On Linux its monotonic reading stands still while the machine is suspended: a hold must not
 * be trusted across a suspend without its fencing token.
 */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  after(ms, callback, options) {
    const timer = setTimeout(callback, Math.min(Math.max(ms, 0), MAX_TIMER_MS));
    if (options?.keepAlive !== true) timer.unref();
    return () => clearTimeout(timer);
  },
};

/** If a timer fires this late or later, in ms, the event loop was busy. */
const LATE_MS = 20;
/** A shorter turn of the event loop counts as idle, in ms: a turn that receives messages takes longer. */
const IDLE_TURN_MS = 1;
/** Most turns to wait for an idle one. */
const MAX_TURNS = 200;

/**
 * Runs `callback` after `ms`. If the event loop was busy at that time, messages already received are dispatched first: an answer
 * that has arrived counts, however late it is read. Everything that gives up after some time uses this function. The end of a
 * lease does not, since there only the clock decides. The returned function cancels it.
 */
export function atDeadline(
  clock: Clock,
  ms: number,
  callback: () => void,
  options?: TimerOptions,
): () => void {
  const due = clock.now() + ms;
  let cancelled = false;
  const fire = (): void => {
    if (!cancelled) callback();
  };
  const cancel = clock.after(
    ms,
    () => {
      if (clock.now() - due < LATE_MS) fire();
      else void drained().then(fire);
    },
    options,
  );
  return () => {
    cancelled = true;
    cancel();
  };
}

let draining: Promise<void> | undefined;

/**
 * Resolves when no further message is waiting: after an idle turn of the event loop, or a bounded number of other turns. One
 * loop serves all callers of that time.
 */
function drained(): Promise<void> {
  draining ??= drain().finally(() => (draining = undefined));
  return draining;
}

async function drain(): Promise<void> {
  await caughtUp();
  for (let turns = 0; turns < MAX_TURNS; turns++) {
    const before = performance.now();
    await nextTurn();
    if (performance.now() - before < IDLE_TURN_MS) return;
  }
}

/** Resolves after `ms`, or as soon as `signal` aborts; never rejects. */
export function sleep(clock: Clock, ms: number, signal?: Aborting, options?: TimerOptions): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const done = (): void => {
      cancel();
      stop();
      resolve();
    };
    const cancel = atDeadline(clock, ms, done, options);
    const stop = onAbort(signal, done);
  });
}

/** Resolves in the next turn of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Waits two event-loop turns, so that messages already received are dispatched. One turn is not enough: the current one may have
 * begun before they arrived.
 */
export async function caughtUp(): Promise<void> {
  await nextTurn();
  await nextTurn();
}

/** Ms on a clock like {@link Clock.now} that reads the same in all processes of this machine. */
export function machineTime(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

let latestIso = { wallTime: NaN, text: '' };

/** A wall-clock reading as ISO 8601 text. Cached, since it is needed several times in a millisecond. */
export function isoTime(wallTime: number): string {
  if (latestIso.wallTime !== wallTime) latestIso = { wallTime, text: new Date(wallTime).toISOString() };
  return latestIso.text;
}

/** Ms since 1970 of a time stamp in the format of servers (RFC 3339). */
export function parseTime(stamp: string): number {
  return Date.parse(stamp);
}

export function toDate(wallTime: number): Date {
  return new Date(wallTime);
}
