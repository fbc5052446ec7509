import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Board } from '../../src/core/board';
import { Keys } from '../../src/core/keys';
import { type Ticket, decodeTicket, encodeRecord } from '../../src/core/record';
import type { AcquireOptions } from '../../src/options';
import type { Permit } from '../../src/permit';
import type { Entry } from '../../src/store/store';
import { settle } from '../support/fake-clock';
import { Lab, type LabClient } from '../support/lab';
import { withholding } from '../support/sabotage';

const TTL_MS = 30_000;
/** After which a ticket says how many wait with it, if others may think otherwise. */
const AMENDED_MS = 150;
/** Long enough for a process to hear what others do to its slot. */
const LISTENING_MS = 200;

const keys = new Keys('sem', 's');
let lab: Lab;
let stored: Entry[];
/** Who was granted, in that order. */
let granted: string[];
let permits: Map<string, Permit>;
let mostHeldAtOnce: number;

function begin(which: Lab): void {
  lab = which;
  stored = [];
  granted = [];
  permits = new Map();
  mostHeldAtOnce = 0;
  lab.store.listen(['sem.s.>'], {
    changed: (entry) => void stored.push(entry),
    interrupted: () => undefined,
  });
}

beforeEach(() => begin(new Lab()));

afterEach(async () => {
  await lab.close();
});

/** All clients from here on: see {@link withholding}. */
function withhold(...kind: Parameters<typeof withholding>): () => void {
  const { sabotage, goOn } = withholding(...kind);
  begin(new Lab(sabotage));
  return goOn;
}

/** Asks for everybody named, in one breath. */
function ask({ semaphore }: LabClient, names: readonly string[], options: AcquireOptions = {}): void {
  for (const name of names) {
    semaphore.acquire(options).then(
      (permit) => {
        granted.push(name);
        permits.set(name, permit);
        mostHeldAtOnce = Math.max(mostHeldAtOnce, [...permits.values()].filter((one) => one.isHeld).length);
      },
      () => undefined,
    );
  }
}

async function queue(client: LabClient, names: readonly string[], options?: AcquireOptions): Promise<void> {
  ask(client, names, options);
  await lab.clock.advance(10);
}

/** A client that holds all slots. */
async function gate(slots: number) {
  const client = lab.client('s', slots, TTL_MS, true);
  const held: Permit[] = [];
  for (let i = 0; i < slots; i++) held.push(await client.semaphore.acquire());
  await lab.clock.advance(LISTENING_MS);
  return {
    client,
    held,
    release: async (): Promise<void> => {
      for (const permit of held) await permit.release();
      await settle();
    },
  };
}

async function release(name: string): Promise<void> {
  await permits.get(name)!.release();
  await settle();
}

/** All tickets that were ever written, with what they said each time. */
function tickets(): { id: string; record: Ticket }[] {
  return stored.flatMap(({ key, value }) => {
    const part = keys.parse(key);
    const decoded = value === null ? undefined : decodeTicket(value);
    return part?.part === 'ticket' && decoded?.ok === true ? [{ id: part.id, record: decoded.record }] : [];
  });
}

async function waitingSeenBy(client: LabClient): Promise<number> {
  return (await client.semaphore.status()).waiters.length;
}

describe('waiters of one process that ask in the same breath', () => {
  it('share a ticket, and are all served before those behind it, in the order in which they asked', async () => {
    const { release: open } = await gate(1);
    const [a, b] = [lab.client('s', 1, TTL_MS, true), lab.client('s', 1, TTL_MS, true)];
    await queue(a, ['a1', 'a2', 'a3']);
    await queue(b, ['b1', 'b2']);
    expect(tickets().map(({ record }) => record.places)).toEqual([3, 2]);
    await open();
    for (const name of ['a1', 'a2', 'a3', 'b1']) {
      expect(granted.at(-1)).toBe(name);
      await release(name);
    }
    expect(granted).toEqual(['a1', 'a2', 'a3', 'b1', 'b2']);
    await release('b2');
    await lab.clock.advance(1_000);
    expect(mostHeldAtOnce).toBe(1);
    expect(await a.semaphore.status()).toMatchObject({ holders: [], waiters: [], available: 1 });
  });

  it('are let in together where there is room for several, and nobody else is', async () => {
    const { release: open } = await gate(2);
    const [a, b] = [lab.client('s', 2, TTL_MS, true), lab.client('s', 2, TTL_MS, true)];
    await queue(a, ['a1', 'a2', 'a3']);
    await queue(b, ['b1']);
    await open();
    expect(granted).toEqual(['a1', 'a2']);
    await release('a2');
    expect(granted).toEqual(['a1', 'a2', 'a3']);
    await release('a1');
    expect(granted).toEqual(['a1', 'a2', 'a3', 'b1']);
    expect(mostHeldAtOnce).toBe(2);
  });

  it('share it only with those next to them who ask for the same', async () => {
    await gate(2);
    const client = lab.client('s', 2, TTL_MS, true);
    ask(client, ['one', 'two']);
    ask(client, ['pair'], { count: 2 });
    ask(client, ['three', 'four'], {});
    await lab.clock.advance(10);
    expect(tickets().map(({ record: { count, places } }) => [count, places])).toEqual([
      [1, 2],
      [2, undefined],
      [1, 2],
    ]);
  });

  it('are seen by everybody, one by one; and those served meanwhile no more, also by who did not see it happen', async () => {
    const { release: open } = await gate(1);
    const [a, b] = [lab.client('s', 1, TTL_MS, true), lab.client('s', 1, TTL_MS, true)];
    await queue(a, ['a1', 'a2', 'a3', 'a4'], { metadata: { job: 'x' } });
    const seen = await b.semaphore.status();
    expect(seen.waiters).toHaveLength(4);
    for (const waiter of seen.waiters)
      expect(waiter).toMatchObject({ holder: a.context.holder, count: 1, metadata: { job: 'x' } });
    await open();
    expect(await waitingSeenBy(b)).toBe(3);
    await release('a1');
    await release('a2');
    await lab.clock.advance(AMENDED_MS);
    expect(await waitingSeenBy(b)).toBe(1);
    expect(tickets().at(-1)!.record).toMatchObject({ places: 1 });
  });

  it('leave one by one: those who look, and those who release, soon know how many are left', async () => {
    const { release: open } = await gate(1);
    const [a, b] = [lab.client('s', 1, TTL_MS, true), lab.client('s', 1, TTL_MS, true)];
    const leaving = new AbortController();
    ask(a, ['a1', 'a2'], {});
    ask(a, ['a3', 'a4'], { signal: leaving.signal });
    await lab.clock.advance(10);
    await queue(b, ['b1']);
    expect(tickets().map(({ record }) => record.places)).toEqual([4, undefined]);
    leaving.abort();
    await lab.clock.advance(AMENDED_MS);
    expect(await waitingSeenBy(b)).toBe(3);
    await open();
    await release('a1');
    await release('a2');
    expect(granted).toEqual(['a1', 'a2', 'b1']);
  });

  it('take their ticket with them when the last has left', async () => {
    await gate(1);
    const [a, b] = [lab.client('s', 1, TTL_MS, true), lab.client('s', 1, TTL_MS, true)];
    await queue(a, ['a1', 'a2', 'a3'], { timeout: 1_000 });
    expect(await waitingSeenBy(b)).toBe(3);
    await lab.clock.advance(1_000);
    expect(await waitingSeenBy(b)).toBe(0);
  });

  it('join again together, at the end, when their ticket is lost', async () => {
    const { client, release: open } = await gate(1);
    const [a, b] = [lab.client('s', 1, TTL_MS, true), lab.client('s', 1, TTL_MS, true)];
    await queue(a, ['a1', 'a2']);
    await queue(b, ['b1']);
    const { id } = tickets()[0]!;
    const { revision } = stored.find(({ key }) => key === keys.ticket(id))!;
    await client.context.store.commit([{ key: keys.ticket(id), expected: revision, value: null }]);
    await lab.clock.advance(10);
    expect(tickets().at(-1)!.record.places).toBe(2);
    await open();
    await release('b1');
    await release('a1');
    expect(granted).toEqual(['b1', 'a1', 'a2']);
  });

  it('also when some have left before their ticket was stored', async () => {
    const { release: open } = await gate(1);
    const [a, b] = [lab.client('s', 1, TTL_MS, true), lab.client('s', 1, TTL_MS, true)];
    await queue(a, ['a0']);
    a.wire.delayAnswers();
    const leaving = new AbortController();
    ask(a, ['a1', 'a2']);
    ask(a, ['a3'], { signal: leaving.signal });
    await settle();
    leaving.abort();
    a.wire.deliverAnswers();
    await lab.clock.advance(AMENDED_MS);
    expect(await waitingSeenBy(b)).toBe(3);
    await open();
    for (const name of ['a0', 'a1']) await release(name);
    expect(granted).toEqual(['a0', 'a1', 'a2']);
  });
});

describe('a slot that was given to a shared ticket, and could not stand', () => {
  it('costs none of those who wait with it their turn', async () => {
    const { client, held } = await gate(2);
    const [b, c] = [lab.client('s', 2, TTL_MS, true), lab.client('s', 2, TTL_MS, true)];
    await queue(b, ['b1', 'b2']);
    await queue(c, ['c1']);
    // Whoever gives it has not heard that there is only one slot left.
    client.wire.loseAnnouncements(true);
    await c.semaphore.setPermits(1);
    await lab.clock.advance(10);
    await held[1]!.release();
    await lab.clock.advance(10);
    expect(stored.filter(({ value }) => value?.includes('"given"') === true)).toHaveLength(1);
    expect(granted).toEqual([]);
    client.wire.loseAnnouncements(false);
    client.wire.mend();
    await lab.clock.advance(10);
    await held[0]!.release();
    await settle();
    for (const name of ['b1', 'b2']) await release(name);
    expect(granted).toEqual(['b1', 'b2', 'c1']);
  });
});

describe('what is granted to a shared ticket', () => {
  const client = (): LabClient => lab.client('s', 2, TTL_MS, true);
  const given = (): Entry[] => stored.filter(({ value }) => value?.includes('"given"') === true);

  it('is counted once by whoever gives it, who hears of it before he is answered', async () => {
    const clients: LabClient[] = [];
    const answer = withhold(
      'answer',
      () => clients[0],
      ({ value }) => value?.includes('"given"') === true,
    );
    const { client: giver, held } = await gate(2);
    clients.push(giver);
    const [b, c] = [client(), client()];
    await queue(b, ['b1', 'b2']);
    await queue(c, ['c1']);
    void held[0]!.release();
    await settle();
    expect(granted).toEqual(['b1']);
    void held[1]!.release();
    await settle();
    expect(granted).toEqual(['b1', 'b2']);
    answer();
    await lab.clock.advance(10);
  });

  it('and serves nobody while the ticket is being written again, is made up for after that', async () => {
    let shared = '';
    const clients: LabClient[] = [];
    const answer = withhold(
      'answer',
      () => clients[0],
      ({ expected, key, value }) => key === shared && value !== null && expected > 0,
    );
    const { client: giver, held } = await gate(2);
    const [b, c] = [client(), client()];
    clients.push(b);
    const leaving = new AbortController();
    ask(b, ['b1']);
    ask(b, ['b2'], { signal: leaving.signal });
    await lab.clock.advance(10);
    shared = keys.ticket(tickets()[0]!.id);
    await queue(c, ['c1']);
    leaving.abort();
    await lab.clock.advance(AMENDED_MS);
    expect(tickets().at(-1)!.record.places).toBe(1);
    giver.wire.loseAnnouncements(true);
    await c.semaphore.setPermits(1);
    await lab.clock.advance(10);
    await held[1]!.release();
    await settle();
    expect([given().length, granted]).toEqual([1, []]);
    answer();
    await lab.clock.advance(10);
    giver.wire.loseAnnouncements(false);
    giver.wire.mend();
    await lab.clock.advance(10);
    await held[0]!.release();
    await settle();
    expect(granted).toEqual(['b1']);
  });

  it('and serves nobody while somebody of ours claims, costs no other his turn', async () => {
    const clients: LabClient[] = [];
    const write = withhold(
      'write',
      () => clients[0],
      ({ key, value }) => key === keys.slot(0) && value !== null,
    );
    await gate(2);
    const [b, c] = [client(), client()];
    clients.push(b);
    await queue(b, ['b1', 'b2']);
    await queue(c, ['c1']);
    const { id } = tickets()[0]!;
    const { revision } = stored.find(({ key }) => key === keys.ticket(id))!;
    // Free, and claimed; the other is given to the ticket too late to be of use.
    await lab.wipe(keys.slot(0));
    await settle();
    const [other] = await lab.store.read([keys.slot(1)]);
    const late = { permit: 'late', holder: 'x', since: '', ttl: 300, ticket: id, given: revision };
    const gift = { key: keys.slot(1), expected: other!.revision, value: encodeRecord(late), ttl: 300 };
    await lab.store.commit([gift]);
    await settle();
    write();
    await settle();
    for (const name of [...granted]) await release(name);
    expect(granted.slice(0, 2)).toEqual(['b1', 'b2']);
  });
});

describe('how many wait with a ticket', () => {
  const ticket = (places: number | undefined, token?: number): Ticket => ({
    holder: 'h',
    since: '2026-03-01T12:00:00.000Z',
    ttl: 10_000,
    count: 1,
    ...(places === undefined ? {} : { places }),
    ...(token === undefined ? {} : { token }),
  });
  const hold = (permit: string, token?: number): object => ({
    permit,
    holder: 'h',
    since: '2026-03-01T12:00:00.000Z',
    ttl: TTL_MS,
    ticket: 't',
    ...(token === undefined ? {} : { token }),
  });
  let board: Board;
  const put = (key: string, revision: number, record: object | null): void =>
    void board.apply({ key, revision, value: record && encodeRecord(record), writtenAt: 0 }, lab.clock.now());
  const waiting = (): number | undefined => {
    const queued = board.tickets.find(({ id }) => id === 't');
    return queued && board.waitingWith(queued);
  };
  beforeEach(() => {
    board = new Board(keys);
  });

  it('is what it says, less the permits granted to it since: also those that are over', () => {
    put(keys.ticket('t'), 10, ticket(3));
    expect(waiting()).toBe(3);
    put(keys.slot(0), 11, hold('p1'));
    put(keys.slot(0), 12, null);
    put(keys.slot(0), 13, hold('p2'));
    expect([waiting(), board.isServed('t')]).toEqual([1, false]);
    put(keys.slot(1), 14, hold('p3'));
    expect([waiting(), board.isServed('t'), board.head(5)]).toEqual([0, true, undefined]);
    put(keys.slot(1), 15, null);
    expect(waiting()).toBe(0);
  });

  it('counts a permit once, however often it is renewed', () => {
    put(keys.ticket('t'), 10, ticket(3));
    put(keys.slot(0), 11, hold('p1'));
    put(keys.slot(0), 12, hold('p1', 11));
    expect(waiting()).toBe(2);
  });

  it('does not count what was granted before it was last written, whenever that is heard of', () => {
    put(keys.ticket('t'), 10, ticket(3));
    put(keys.slot(0), 11, hold('p1'));
    put(keys.ticket('t'), 12, ticket(2, 10));
    expect(waiting()).toBe(2);
    put(keys.slot(0), 13, hold('p1', 11));
    expect(waiting()).toBe(2);
    put(keys.slot(1), 14, hold('p2'));
    expect(waiting()).toBe(1);
  });

  it('is the same for who reads the holds before the ticket', () => {
    put(keys.slot(0), 13, hold('p1', 11));
    put(keys.slot(1), 14, hold('p2'));
    put(keys.ticket('t'), 12, ticket(2, 10));
    expect(waiting()).toBe(1);
  });

  it('is one while no hold names it, if it does not say', () => {
    put(keys.ticket('t'), 10, ticket(undefined));
    put(keys.slot(0), 11, hold('p1'));
    expect(waiting()).toBe(0);
    put(keys.slot(0), 12, null);
    expect(waiting()).toBe(1);
  });

  it.each([0, 1_001, 1.5, '2'])('can not be %p', (places) => {
    put(keys.ticket('t'), 10, { ...ticket(1), places });
    expect([waiting(), [...board.corrupt.values()]]).toEqual([
      undefined,
      ['places is not a whole number from 1 to 1000'],
    ]);
  });
});
