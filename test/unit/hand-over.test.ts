import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Keys } from '../../src/protocol/keys';
import { Lease } from '../../src/lease/lease';
import { type Hold, decodeHold, decodeTicket } from '../../src/protocol/records';
import type { AcquireOptions } from '../../src/api/options';
import type { Permit } from '../../src/api/permit';
import type { Entry, Write } from '../../src/store/store';
import { settle } from '../support/fake-clock';
import { Lab, type LabClient } from '../support/lab';
import { withMethods, withholding } from '../support/sabotage';

const TTL_MS = 30_000;
/** How long what is given stands in the store, and how long before that its holder stops to believe in it. */
const GIVEN_MS = 6_000;
/** Of a ttl of 30 s. */
const MARGIN_MS = 1_500;
/** How long the ticket of a dead process stands. */
const TICKET_MS = 10_000;
/** Long enough for a process to listen to what others do to the slot that it holds. */
const LISTENING_MS = 200;
const PROMPT_MS = 50;

/** Somebody who asked for a permit, and what came of it. */
interface Asking {
  permit?: Permit;
  /** How many entries had been stored when it was granted. */
  grantedAfter: number;
}

const keys = new Keys('sem', 's');
let lab: Lab;
let stored: Entry[];
let permits: Permit[];
let mostHeldAtOnce: number;

function begin(which: Lab): void {
  lab = which;
  stored = [];
  permits = [];
  mostHeldAtOnce = 0;
  const changed = (entry: Entry): void => void stored.push(entry);
  lab.store.listen(['sem.s.>'], { changed, interrupted: () => undefined });
}

beforeEach(() => begin(new Lab()));

afterEach(async () => {
  jest.restoreAllMocks();
  await lab.close();
});

/** All clients from here on: see {@link withholding}. */
function withhold(...kind: Parameters<typeof withholding>): () => void {
  const { sabotage, goOn } = withholding(...kind);
  begin(new Lab(sabotage));
  return goOn;
}

function fairClients(slots: number, ttl = TTL_MS): () => LabClient {
  return () => lab.client('s', slots, ttl, true);
}

function ask({ semaphore }: LabClient, options: AcquireOptions = {}): Asking {
  const asking: Asking = { grantedAfter: Infinity };
  semaphore.lock(options).then(
    (permit) => {
      permits.push(permit);
      mostHeldAtOnce = Math.max(mostHeldAtOnce, permits.filter(({ isHeld }) => isHeld).length);
      Object.assign(asking, { permit, grantedAfter: stored.length });
    },
    () => undefined,
  );
  return asking;
}

async function hold(client: LabClient, options?: AcquireOptions): Promise<Permit> {
  const { permit } = await queue(client, options);
  await lab.clock.advance(LISTENING_MS);
  return permit!;
}

/** Asks, and is heard of by all who listen. */
async function queue(client: LabClient, options?: AcquireOptions): Promise<Asking> {
  const asking = ask(client, options);
  await lab.clock.advance(10);
  return asking;
}

function die({ clock, wire }: LabClient): void {
  clock.pause();
  wire.cut();
}

function isHeld(...asking: Asking[]): boolean[] {
  return asking.map(({ permit }) => permit?.isHeld === true);
}

function slotWrites(from = 0, to = Infinity): Entry[] {
  return stored.slice(from, to).filter(({ key }) => keys.parse(key)?.part === 'slot');
}

function holdIn({ value }: Entry): Hold | undefined {
  const decoded = value === null ? undefined : decodeHold(value);
  return decoded?.ok === true ? decoded.record : undefined;
}

/** What was given, in the order in which it was stored. */
function given(): Hold[] {
  return slotWrites().flatMap((entry) => {
    const record = holdIn(entry);
    return record?.given === undefined ? [] : [record];
  });
}

/** Writes of the tickets of a client, latest last. */
function ticketsOf({ context }: LabClient): Entry[] {
  return stored.filter(({ key, value }) => {
    if (value === null || keys.parse(key)?.part !== 'ticket') return false;
    const decoded = decodeTicket(value);
    return decoded.ok && decoded.record.holder === context.holder;
  });
}

function firstTicketOf(client: LabClient): string | undefined {
  const part = keys.parse(ticketsOf(client)[0]?.key ?? '');
  return part?.part === 'ticket' ? part.id : undefined;
}

function sinceTicketOf(client: LabClient): number {
  return lab.clock.wallTime() - (ticketsOf(client).at(-1)?.writtenAt ?? 0);
}

describe('a slot that is released to the next in another process', () => {
  it('is his by the one write that releases it', async () => {
    const fair = fairClients(1);
    const [a, b] = [fair(), fair()];
    const held = await hold(a);
    const next = await queue(b);
    const before = stored.length;
    expect(await held.release()).toBe(true);
    await settle();
    expect([held.isHeld, ...isHeld(next)]).toEqual([false, true]);
    const between = slotWrites(before, next.grantedAfter);
    expect(between).toHaveLength(1);
    expect(holdIn(between[0]!)).toMatchObject({
      ticket: firstTicketOf(b),
      given: ticketsOf(b)[0]?.revision,
      after: held.id,
      holder: b.context.holder,
      permit: next.permit?.id,
      ttl: GIVEN_MS,
    });
    expect(next.permit!.fencingToken > held.fencingToken).toBe(true);
  });

  it('goes on to the one behind him by one write of his own', async () => {
    const fair = fairClients(1);
    const [a, b, c] = [fair(), fair(), fair()];
    const held = await hold(a);
    const [second, third] = [await queue(b), await queue(c)];
    await held.release();
    await lab.clock.advance(1_000);
    const before = stored.length;
    await second.permit?.release();
    await settle();
    expect(isHeld(second, third)).toEqual([false, true]);
    expect(slotWrites(before, third.grantedAfter)).toHaveLength(1);
    expect(given().map(({ ticket }) => ticket)).toEqual([firstTicketOf(b), firstTicketOf(c)]);
  });

  it('does not come back to those who release at once', async () => {
    const fair = fairClients(1);
    const [a, b, c, d] = [fair(), fair(), fair(), fair()];
    const held = await hold(a);
    const quick: Promise<boolean>[] = [];
    for (const { semaphore } of [b, c]) {
      quick.push(semaphore.lock().then((permit) => permit.release()));
      await lab.clock.advance(10);
    }
    const last = await queue(d);
    await held.release();
    await settle();
    expect([...(await Promise.all(quick)), ...isHeld(last)]).toEqual([true, true, true]);
    expect(given().map(({ ticket }) => ticket)).toEqual([b, c, d].map(firstTicketOf));
  });

  it('is for another than the one released at the same moment', async () => {
    const fair = fairClients(2);
    const [a, b, c] = [fair(), fair(), fair()];
    const [first, second] = [await hold(a), await hold(a)];
    const waiting = [await queue(b), await queue(c)];
    const before = stored.length;
    await Promise.all([first.release(), second.release()]);
    await settle();
    expect([...isHeld(...waiting), mostHeldAtOnce]).toEqual([true, true, 2]);
    expect(slotWrites(before)).toHaveLength(2);
    expect(given().map(({ ticket }) => ticket)).toEqual([firstTicketOf(b), firstTicketOf(c)]);
  });

  it.each([false, true])(
    'may be given before he knows that his ticket is stored (and leaves: %s)',
    async (leaves) => {
      const answer = withhold(
        'answer',
        () => b,
        ({ key }) => keys.parse(key)?.part === 'ticket',
      );
      const fair = fairClients(1);
      const [a, b, c] = [fair(), fair(), fair()];
      const held = await hold(a);
      const leaving = new AbortController();
      const next = await queue(b, { signal: leaving.signal });
      const behind = await queue(c);
      await held.release();
      await settle();
      if (leaves) leaving.abort();
      expect([...isHeld(next, behind), given().length]).toEqual([false, false, 1]);
      answer();
      await lab.clock.advance(PROMPT_MS);
      expect(isHeld(next, behind)).toEqual([!leaves, leaves]);
    },
  );

  it('may come back before whoever gave it knows that it went, who still hears when it is taken from him', async () => {
    const answer = withhold(
      'answer',
      () => a,
      ({ value }) => value?.includes('"given"') === true,
    );
    const fair = fairClients(1);
    const [a, b, operator] = [fair(), fair(), fair()];
    const held = await hold(a);
    const next = await queue(b);
    const again = await queue(a);
    void held.release();
    await settle();
    await next.permit?.release();
    await settle();
    expect([...isHeld(next, again), given().length]).toEqual([false, true, 2]);
    answer();
    await lab.clock.advance(LISTENING_MS * 3);
    expect(isHeld(again)).toEqual([true]);
    await operator.semaphore.forceRelease(again.permit!.id);
    await settle();
    expect(again.permit?.signal.aborted).toBe(true);
  });

  it('goes from one to the next for as long as there is time left of the first hold', async () => {
    const fair = fairClients(1);
    const clients = Array.from({ length: 6 }, fair);
    const held = await hold(clients[0]!);
    const waiting: Asking[] = [];
    for (const client of clients.slice(1)) waiting.push(await queue(client));
    await held.release();
    for (const next of waiting) {
      await settle();
      expect(next.permit?.isHeld).toBe(true);
      await next.permit?.release();
    }
    await settle();
    const times = given().map(({ ttl }) => ttl);
    expect(times).toHaveLength(waiting.length);
    expect(times).toEqual([...times].sort((one, other) => other - one));
    expect(mostHeldAtOnce).toBe(1);
  });

  it('is his when his link comes back in time', async () => {
    const fair = fairClients(1);
    const [a, b, c] = [fair(), fair(), fair()];
    const held = await hold(a);
    const [next, behind] = [await queue(b), await queue(c)];
    b.wire.cut();
    await held.release();
    await lab.clock.advance(2_000);
    expect([...isHeld(next, behind), given().length]).toEqual([false, false, 1]);
    b.wire.mend();
    await lab.clock.advance(GIVEN_MS * 2);
    expect([...isHeld(next, behind), mostHeldAtOnce]).toEqual([true, false, 1]);
  });

  it('is his when he has yet to read the limit again, after his link was lost', async () => {
    let answers: (() => void)[] | undefined;
    begin(
      new Lab((store) =>
        withMethods(store, {
          read: async (patterns) => {
            const entries = await store.read(patterns);
            const waits = answers !== undefined && store === b.wire;
            if (waits) await new Promise<void>((resolve) => answers?.push(resolve));
            return entries;
          },
        }),
      ),
    );
    const fair = fairClients(1);
    const [a, b, c] = [fair(), fair(), fair()];
    const held = await hold(a);
    const [next, behind] = [await queue(b), await queue(c)];
    answers = [];
    b.wire.mend();
    await settle();
    await held.release();
    await settle();
    const waiting = answers;
    answers = undefined;
    for (const answer of waiting) answer();
    await lab.clock.advance(PROMPT_MS);
    expect(given().map(({ ticket }) => ticket)).toEqual([firstTicketOf(b)]);
    expect(isHeld(next, behind)).toEqual([true, false]);
  });

  it.each([true, false])('is written with its full ttl if it lasts (autoRenew: %s)', async (autoRenew) => {
    const fair = fairClients(1);
    const [a, b] = [fair(), fair()];
    const held = await hold(a);
    const next = await queue(b, { autoRenew });
    await held.release();
    await settle();
    expect(next.permit?.remaining).toBeLessThanOrEqual(GIVEN_MS - MARGIN_MS);
    await lab.clock.advance(LISTENING_MS);
    const last = holdIn(slotWrites().at(-1)!);
    expect(last).toMatchObject({ permit: next.permit?.id, holder: b.context.holder, ttl: TTL_MS });
    expect(last?.given).toBeUndefined();
    expect(next.permit?.remaining).toBeGreaterThan(TTL_MS * 0.9);
    await lab.clock.advance(GIVEN_MS * 2);
    expect(isHeld(next)).toEqual([true]);
  });

  it('is not written again if it is released sooner', async () => {
    const fair = fairClients(1);
    const [a, b] = [fair(), fair()];
    const held = await hold(a);
    const next = await queue(b);
    await held.release();
    await lab.clock.advance(80);
    await next.permit?.release();
    await lab.clock.advance(1_000);
    expect(given()).toHaveLength(1);
    expect(slotWrites(next.grantedAfter).map(({ value }) => value)).toEqual([null]);
  });
});

describe('a slot that is released while the next in the queue, of the same process, claims another', () => {
  const isClaimForTicket = ({ key, value }: Write): boolean =>
    keys.parse(key)?.part === 'slot' && value?.includes('"ticket"') === true;

  /** Two of `a` wait; a slot of b's is free again, and the claim of it is on its way. */
  async function claiming(a: LabClient, b: LabClient): Promise<{ held: Permit; waiting: Asking[] }> {
    const held = await hold(a);
    const other = await hold(b);
    // For less time than anything is given for.
    const waiting = [await queue(a, { ttl: 5_000 }), await queue(a, { ttl: 5_000 })];
    await other.release();
    await settle();
    return { held, waiting };
  }

  it('is passed on at once, to whoever came first', async () => {
    const claim = withhold('write', () => a, isClaimForTicket);
    const fair = fairClients(2);
    const [a, b] = [fair(), fair()];
    const { held, waiting } = await claiming(a, b);
    const before = stored.length;
    expect(await held.release()).toBe(true);
    await settle();
    expect(isHeld(...waiting)).toEqual([true, false]);
    expect(slotWrites(before).map((entry) => holdIn(entry)?.after)).toEqual([held.id]);
    claim();
    await settle();
    expect([...isHeld(...waiting), mostHeldAtOnce]).toEqual([true, true, 2]);
  });

  it('goes to him if he is refused the other', async () => {
    const claim = withhold('write', () => a, isClaimForTicket);
    const fair = fairClients(2);
    const [a, b] = [fair(), fair()];
    const { held, waiting } = await claiming(a, b);
    const quick = await lab.client('s', 2, TTL_MS).semaphore.lock({ timeout: 0 });
    await held.release();
    claim();
    await settle();
    expect(isHeld(...waiting)).toEqual([true, false]);
    await quick.release();
    await lab.clock.advance(PROMPT_MS);
    expect([...isHeld(...waiting), mostHeldAtOnce]).toEqual([true, true, 2]);
  });
});

describe('a slot of which he hears too late', () => {
  interface Late {
    readonly b: LabClient;
    readonly late: Asking;
    readonly behind: Asking;
  }

  /** His link comes back for a moment when the slot is still in the store, but not for as long as he may believe. */
  async function cutOff(): Promise<Late> {
    // None of the safety reads comes so soon that it waits for the link.
    jest.spyOn(Math, 'random').mockReturnValue(0.9);
    const fair = fairClients(1);
    const [a, b, c] = [fair(), fair(), fair()];
    const held = await hold(a);
    const [late, behind] = [await queue(b), await queue(c)];
    await lab.clock.advance(500);
    b.wire.cut();
    await held.release();
    await lab.clock.advance(GIVEN_MS - 100);
    expect(sinceTicketOf(b)).toBeGreaterThan(GIVEN_MS - MARGIN_MS);
    expect(given().map(({ ticket }) => ticket)).toEqual([firstTicketOf(b)]);
    expect(holdIn(slotWrites().at(-1)!)?.given).toBeDefined();
    b.wire.mend();
    await settle();
    b.wire.cut();
    await lab.clock.advance(500);
    return { b, late, behind };
  }

  /** He was stopped: what was announced meanwhile is heard when another has the slot, one thing after the other. */
  async function stopped(): Promise<Late> {
    let waiting: (() => void)[] | undefined;
    begin(
      new Lab((store) =>
        withMethods(store, {
          listen: (patterns, listener) => {
            const changed = (entry: Entry): void => {
              const hear = (): void => listener.changed(entry);
              if (waiting !== undefined && store === b.wire) waiting.push(hear);
              else hear();
            };
            return store.listen(patterns, { changed, interrupted: () => listener.interrupted() });
          },
        }),
      ),
    );
    const fair = fairClients(1);
    const [a, b, c] = [fair(), fair(), fair()];
    const held = await hold(a);
    const [late, behind] = [await queue(b), await queue(c)];
    waiting = [];
    b.clock.pause();
    await held.release();
    expect(given().map(({ ticket }) => ticket)).toEqual([firstTicketOf(b)]);
    await lab.clock.advance(TICKET_MS + 100);
    expect(isHeld(late, behind)).toEqual([false, true]);
    const announced = waiting;
    waiting = undefined;
    for (const hear of announced) {
      hear();
      await settle();
    }
    b.clock.resume();
    await lab.clock.advance(100);
    return { b, late, behind };
  }

  const stories = { 'his link was cut': cutOff, 'his process was stopped': stopped };

  it('is given back, and claimed by him while his ticket stands: his link was cut', async () => {
    const { late, behind } = await cutOff();
    expect([...isHeld(late, behind), mostHeldAtOnce]).toEqual([true, false, 1]);
    expect(given().map(({ permit }) => permit)).not.toContain(late.permit?.id);
  });

  it('is for the one behind him: his process was stopped', async () => {
    const { b, late, behind } = await stopped();
    expect([...isHeld(late, behind), mostHeldAtOnce]).toEqual([false, true, 1]);
    b.wire.mend();
    await lab.clock.advance(1_000);
    expect(isHeld(late, behind)).toEqual([false, true]);
    await behind.permit?.release();
    await lab.clock.advance(PROMPT_MS);
    expect([...isHeld(late, behind), mostHeldAtOnce]).toEqual([true, false, 1]);
  });

  it.each(Object.entries(stories))('has two holders if it counts from hearing of it: %s', async (_, tell) => {
    jest.spyOn(Lease.prototype, 'sentAtOf').mockImplementation(() => lab.clock.now());
    const { behind } = await tell();
    expect([...isHeld(behind), mostHeldAtOnce]).toEqual([true, 2]);
  });
});

describe('a slot that is not needed', () => {
  it('is passed on at once by one who has just left', async () => {
    const fair = fairClients(1);
    const [a, b, c] = [fair(), fair(), fair()];
    const held = await hold(a);
    const leaving = new AbortController();
    const left = await queue(b, { signal: leaving.signal });
    const behind = await queue(c);
    a.wire.loseAnnouncements(true);
    leaving.abort();
    await lab.clock.advance(500);
    await held.release();
    await lab.clock.advance(PROMPT_MS);
    expect(given().map(({ ticket }) => ticket)).toContain(firstTicketOf(b));
    expect(isHeld(left, behind)).toEqual([false, true]);
  });

  it('is passed on at once by one who was given two', async () => {
    const fair = fairClients(2);
    const [a1, a2, b, c] = [fair(), fair(), fair(), fair()];
    const [first, second] = [await hold(a1), await hold(a2)];
    const [next, behind] = [await queue(b), await queue(c)];
    a1.wire.loseAnnouncements(true);
    a2.wire.loseAnnouncements(true);
    await Promise.all([first.release(), second.release()]);
    const toB = firstTicketOf(b);
    expect(given().filter(({ ticket }) => ticket === toB)).toHaveLength(2);
    await lab.clock.advance(PROMPT_MS);
    expect([...isHeld(next, behind), mostHeldAtOnce]).toEqual([true, true, 2]);
    await lab.clock.advance(GIVEN_MS * 2);
    expect(isHeld(next, behind)).toEqual([true, true]);
  });

  it('is not given to one of the same process who has just left', async () => {
    const fair = fairClients(1);
    const [a, b] = [fair(), fair()];
    const held = await hold(a);
    const leaving = new AbortController();
    await queue(a, { signal: leaving.signal });
    const behind = await queue(b);
    leaving.abort();
    await held.release();
    await lab.clock.advance(PROMPT_MS);
    expect(given().filter(({ ticket }) => ticket === firstTicketOf(a))).toEqual([]);
    expect(isHeld(behind)).toEqual([true]);
  });

  it('does not count for one who knows that the limit was lowered, and keeps his place', async () => {
    const fair = fairClients(2);
    const [other, a, b, c] = [fair(), fair(), fair(), fair()];
    const inside = await hold(other);
    const held = await hold(a);
    expect([inside.slots, held.slots]).toEqual([[0], [1]]);
    const [next, behind] = [await queue(b), await queue(c)];
    a.wire.loseAnnouncements(true);
    await other.semaphore.setPermits(1);
    await held.release();
    await lab.clock.advance(1_000);
    expect(given().map(({ ticket }) => ticket)).toEqual([firstTicketOf(b)]);
    expect([inside.isHeld, ...isHeld(next, behind)]).toEqual([true, false, false]);
    await inside.release();
    await lab.clock.advance(PROMPT_MS);
    expect(next.permit).toMatchObject({ isHeld: true, slots: [0] });
    expect(behind.permit).toBeUndefined();
  });

  it.each(['while he has it', 'when the next has it'])('is received once, heard twice %s', async (when) => {
    const fair = fairClients(1);
    const [a, b, c] = [fair(), fair(), fair()];
    const held = await hold(a);
    const [next, behind] = [await queue(b), await queue(c)];
    await held.release();
    await settle();
    if (when === 'when the next has it') await next.permit?.release();
    await settle();
    const before = isHeld(next, behind);
    expect(before.filter(Boolean)).toHaveLength(1);
    const written = slotWrites().length;
    b.wire.mend();
    await settle();
    expect(slotWrites()).toHaveLength(written);
    await lab.clock.advance(GIVEN_MS * 3);
    expect([...isHeld(next, behind), mostHeldAtOnce]).toEqual([...before, 1]);
  });
});

describe('one whose process is dead', () => {
  it('is given nothing when it has been silent for long', async () => {
    const fair = fairClients(1);
    const [a, b, c] = [fair(), fair(), fair()];
    const held = await hold(a);
    const [dead, behind] = [await queue(b), await queue(c)];
    die(b);
    await lab.clock.advance(4_100);
    await held.release();
    await lab.clock.advance(TICKET_MS + 1_000 - sinceTicketOf(b));
    expect(given()).toEqual([]);
    expect(isHeld(dead, behind)).toEqual([false, true]);
  });

  it.each([0, 1_000, 2_400])('holds up the queue as long as its ticket, released after %i ms', async (ms) => {
    const fair = fairClients(1);
    const [a, b, c] = [fair(), fair(), fair()];
    const held = await hold(a);
    const dead = await queue(b);
    die(b);
    const behind = await queue(c);
    await lab.clock.advance(ms);
    await held.release();
    expect(given().map(({ ticket }) => ticket)).toEqual([firstTicketOf(b)]);
    await lab.clock.advance(TICKET_MS + 1_000 - sinceTicketOf(b));
    expect(isHeld(dead, behind)).toEqual([false, true]);
  });
});

describe('one whose process has been busy with something else', () => {
  it('gives nothing to one who has left meanwhile', async () => {
    let unheard: (() => void)[] | undefined;
    begin(
      new Lab((store) =>
        withMethods(store, {
          listen: (patterns, listener) =>
            store.listen(patterns, {
              ...listener,
              changed: (entry) => {
                if (unheard !== undefined && store === a.wire) unheard.push(() => listener.changed(entry));
                else listener.changed(entry);
              },
            }),
        }),
      ),
    );
    const fair = fairClients(1);
    const [a, b, c] = [fair(), fair(), fair()];
    const held = await hold(a);
    await queue(b, { timeout: 300 });
    const next = await queue(c);
    a.clock.pause();
    unheard = [];
    await lab.clock.advance(2_000);
    const released = held.release();
    a.clock.resume();
    const heard = unheard;
    unheard = undefined;
    for (const tell of heard) tell();
    expect(await released).toBe(true);
    await settle();
    expect(isHeld(next)).toEqual([true]);
    expect(given().map(({ ticket }) => ticket)).toEqual([firstTicketOf(c)]);
  });

  it('and dies as it is served holds up the queue as long as its hold', async () => {
    const ttl = 2_000;
    const fair = fairClients(1, ttl);
    const [a, b, c] = [fair(), fair(), fair()];
    const held = await hold(a);
    void b.semaphore.lock().then(() => die(b));
    await lab.clock.advance(10);
    const next = await queue(c);
    await held.release();
    await lab.clock.advance(ttl - PROMPT_MS);
    expect(isHeld(next)).toEqual([false]);
    await lab.clock.advance(2 * PROMPT_MS);
    expect(isHeld(next)).toEqual([true]);
  });
});

describe('a slot is not given, but handed over all the same,', () => {
  async function handedOver(
    holder: LabClient,
    waiter: LabClient,
    { holding, wanting, after = 0 }: { holding?: AcquireOptions; wanting?: AcquireOptions; after?: number },
  ): Promise<void> {
    const held = await hold(holder, holding);
    const next = await queue(waiter, wanting);
    await lab.clock.advance(after);
    expect([held.isHeld, ...isHeld(next)]).toEqual([true, false]);
    await held.release();
    await lab.clock.advance(PROMPT_MS);
    expect(isHeld(next)).toEqual([true]);
    expect(given()).toEqual([]);
  }

  it('to one who wants two', async () => {
    const fair = fairClients(2);
    await handedOver(fair(), fair(), { wanting: { count: 2 } });
  });

  it('to one who wants it for less than it would be given for', () =>
    handedOver(fairClients(1)(), fairClients(1, 5_000)(), {}));

  it('to one who keeps slots after a release', async () => {
    begin(new Lab(undefined, undefined, 1_000));
    const fair = fairClients(1);
    await handedOver(fair(), fair(), {});
  });

  it('by one whose own time is nearly over', async () => {
    const fair = fairClients(1);
    await handedOver(fair(), fair(), { holding: { ttl: 8_000, autoRenew: false }, after: 6_000 });
  });
});
