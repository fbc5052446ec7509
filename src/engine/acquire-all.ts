import { Abort } from '../runtime/cancellation';
import type { Context } from '../store/context';
import type { Engine } from './engine';
import { claim } from '../acquire/claim';
import { retry } from '../store/retry';
import type { FreeSlot } from '../state/grantable';
import type { Lease } from '../lease/lease';
import { nothingFree, outOfTime, tooMany, unavailable } from '../state/refusals';
import { Waiter } from '../acquire/waiter';
import type { Patience, Want } from '../protocol/request';

/** So many slots of one primitive, as part of a permit on several. */
export interface Wanted {
  readonly engine: Engine;
  readonly count: number;
  readonly want: Want;
}

/**
 * Waits until slots of several primitives are free at the same moment, and takes them in one commit: all or none. It holds nothing while it
 * waits, so it can be part of no deadlock, in whatever order other callers ask. When slots become free it is served before waiters of this
 * process that wait for one primitive only. Where its handle is fair, all waiters with a ticket come first.
 */
export async function acquireAll(
  context: Context,
  wanted: readonly Wanted[],
  want: Want,
  patience: Patience,
): Promise<Lease> {
  const name = wanted.map(({ engine }) => engine.name).join(' + ');
  const abandon = new Abort();
  const stops: (() => void)[] = [];
  /** Whether a claim is under way, or the limits are being found out. */
  let busy = false;
  /** Whether the server has shown everything since the acquire began. */
  let answered = false;

  const waiter = new Waiter(
    context.clock,
    want,
    patience,
    (_, ms) => {
      const trouble = context.store.trouble();
      if (trouble !== undefined || !answered) return unavailable(name, ms, trouble);
      return outOfTime(name, ms, undefined, context.store.refusal());
    },
    () => {
      abandon.abort();
      for (const stop of stops) stop();
    },
  );

  async function tryNow(): Promise<void> {
    if (waiter.settled) return;
    try {
      for (const { engine, count } of wanted) checkPossible(engine, count);
    } catch (error) {
      return waiter.settle(error as Error);
    }
    if (busy) return;
    // The limit may also become unknown during the wait: after a reconnect, or when an operator removes it.
    if (wanted.some(({ engine }) => engine.limit.known === undefined)) return agree();
    answered ||= wanted.every(({ engine }) => engine.live);
    const parts: { engine: Engine; slots: FreeSlot[] }[] = [];
    for (const { engine, count, want: own } of wanted) {
      const slots = engine.offer(count, own.fair);
      if (slots !== undefined) parts.push({ engine, slots });
    }
    if (parts.length < wanted.length) {
      if (!waiter.immediate || wanted.some(({ engine }) => engine.givesBack)) return;
      const behind = wanted.filter(({ engine }) => !engine.watcher.covers(waiter.joinedAt));
      for (const { engine } of behind) engine.watcher.refresh();
      if (behind.length > 0) return;
      return waiter.settle(nothingFree(name));
    }
    busy = true;
    const claiming = claimNow(parts);
    context.background.add(claiming);
    await claiming;
    await goOn();
  }

  async function claimNow(parts: readonly { engine: Engine; slots: FreeSlot[] }[]): Promise<void> {
    try {
      const lease = await claim(context, name, parts, want, abandon.signal);
      if (lease !== undefined && waiter.settled) context.background.add(lease.release());
      else if (lease !== undefined) waiter.settle(lease);
    } catch (error) {
      waiter.settle(error as Error);
    }
  }

  /** Finds out the limits, and stores them where none are stored. */
  async function agree(): Promise<void> {
    busy = true;
    const settle = (): Promise<unknown> =>
      Promise.all(wanted.map(({ engine, want: own, count }) => engine.agree(own, count)));
    try {
      await retry(context, settle, abandon.signal);
    } catch (error) {
      waiter.settle(error as Error);
    }
    await goOn();
  }

  /** Other waiters may have been held up by slots that were reserved here: they come next. */
  function goOn(): Promise<void> {
    busy = false;
    const next = tryNow();
    for (const { engine } of wanted) engine.pump();
    return next;
  }

  async function begin(): Promise<void> {
    if (waiter.settled) return;
    const heard = (failure?: Error): void => {
      if (failure === undefined) void tryNow();
      else waiter.settle(failure);
    };
    for (const { engine } of wanted) stops.push(engine.observe(heard, true));
    await agree();
  }

  context.background.add(begin());
  return waiter.result;
}

/** @throws DispatcherClosedError, RangeError for more slots than there are */
function checkPossible(engine: Engine, count: number): void {
  engine.checkOpen();
  const limit = engine.limit.known;
  if (limit !== undefined && count > limit) throw tooMany(engine.name, count, limit);
}
