import type { Context } from './context';
import type { Engine } from './engine';
import { grab } from './grab';
import type { FreeSlot } from './plan';
import type { Lease } from './lease';
import { nothingFree, outOfTime, unavailable } from './refusals';
import { type Patience, Waiter, type Want } from './waiter';

/** So many slots of one primitive, as part of a permit on several. */
export interface Wanted {
  readonly engine: Engine;
  readonly count: number;
  readonly want: Want;
}

/**
 * Waits until slots of several primitives are free at the same moment, and takes them in one commit: all or none. It holds
 * nothing while it waits, so it can be part of no deadlock, in whatever order others ask. When slots become free it is
 * asked before those of this process who wait for one primitive only; where its handle is fair it lets all pass who wait
 * with a ticket.
 */
export async function acquireAll(
  context: Context,
  wanted: readonly Wanted[],
  want: Want,
  patience: Patience,
): Promise<Lease> {
  const name = wanted.map(({ engine }) => engine.name).join(' + ');
  const abandon = new AbortController();
  const stops: (() => void)[] = [];
  let claiming = false;

  const waiter = new Waiter(
    context.clock,
    want,
    patience,
    (_, ms) => {
      const trouble = context.store.trouble();
      if (trouble !== undefined || !wanted.every(({ engine }) => engine.live))
        return unavailable(name, ms, trouble);
      return outOfTime(name, ms);
    },
    () => {
      abandon.abort();
      for (const stop of stops) stop();
    },
  );

  async function tryNow(): Promise<void> {
    if (waiter.settled || claiming) return;
    try {
      for (const { engine } of wanted) engine.checkOpen();
    } catch (error) {
      return waiter.settle(error as Error);
    }
    const parts: { engine: Engine; slots: FreeSlot[] }[] = [];
    for (const { engine, count, want: own } of wanted) {
      const slots = engine.offer(count, own.fair);
      if (slots !== undefined) parts.push({ engine, slots });
    }
    if (parts.length < wanted.length) {
      if (!waiter.immediate) return;
      const behind = wanted.filter(({ engine }) => !engine.feed.covers(waiter.joinedAt));
      for (const { engine } of behind) engine.feed.refresh();
      if (behind.length > 0) return;
      return waiter.settle(nothingFree(name));
    }
    claiming = true;
    try {
      const lease = await grab(context, name, parts, want, abandon.signal);
      if (lease !== undefined && waiter.settled) context.background.add(lease.release());
      else if (lease !== undefined) waiter.settle(lease);
    } catch (error) {
      waiter.settle(error as Error);
    }
    claiming = false;
    await tryNow();
  }

  async function begin(): Promise<void> {
    try {
      await Promise.all(wanted.map(({ engine, want: own, count }) => engine.agree(own, count)));
    } catch (error) {
      waiter.settle(error as Error);
    }
    if (waiter.settled) return;
    for (const { engine } of wanted) stops.push(engine.observe(() => void tryNow()));
    await tryNow();
  }

  context.background.add(begin());
  return waiter.result;
}
