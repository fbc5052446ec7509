import { describe, expect, it } from '@jest/globals';
import { check } from '../campaign/checker/check';
import type { Figures } from '../campaign/checker/figures';
import type { ClientLine, FaultLine, History, ReadingLine, StreamLine } from '../campaign/history';
import type { Job } from '../campaign/load';
import { fencingToken } from '../support/token';

const ONE: Job = {
  name: 'one',
  kind: 'semaphore',
  slots: 1,
  ttl: 1_000,
  fair: false,
  counts: [1],
  hold: [0, 0],
  pause: [0, 0],
};

const BAIT: Job = { ...ONE, attacked: true };
const BOTH: Job = { ...ONE, name: 'config', kind: 'read-write-lock', slots: 1_000 };
const LAPS: Job = { ...ONE, name: 'laps', kind: 'latch', slots: 2 };
const KEYS: Record<Job['kind'], string> = {
  semaphore: 'sem',
  mutex: 'mutex',
  'read-write-lock': 'rw',
  latch: 'latch',
};

/** A history put together by hand. Times are ms from its beginning. */
class Tale {
  private readonly runs = new Map<string, ClientLine[]>();
  private readonly faults: FaultLine[] = [];
  private stream: StreamLine[] = [];
  private readonly readings: ReadingLine[] = [];
  private readonly last = new Map<string, number>();
  private revision = 100;
  private asks = 0;

  constructor(readonly job: Job = ONE) {
    if (job.kind === 'semaphore') this.store(0, 'limit', { slots: job.slots });
  }

  client(line: ClientLine, client = 'c0'): this {
    this.runs.set(client, [...(this.runs.get(client) ?? []), line]);
    return this;
  }

  fault(...lines: FaultLine[]): this {
    this.faults.push(...lines);
    return this;
  }

  /** Stores a value, or with null a marker, under a key of the job; returns its revision. */
  store(
    at: number,
    part: string,
    fields: { readonly ttl?: number; readonly [field: string]: unknown } | null,
    marker = 'PURGE',
    ttl: number | undefined = fields?.ttl,
  ): number {
    const revision = ++this.revision;
    const key = `${KEYS[this.job.kind]}.${this.job.name}.${part}`;
    this.stream.push({
      revision,
      key,
      last: this.last.get(key) ?? 0,
      value: fields === null ? null : JSON.stringify(fields),
      marker: fields === null ? marker : '',
      ttl,
      storedAt: at,
      at,
    });
    this.last.set(key, revision);
    return revision;
  }

  /** Stores what the hostile client writes: a value as it is, under a key of the job. */
  forge(at: number, part: string, value: string | object, fault?: string): number {
    const revision = this.store(at, part, {});
    const line = this.stream.pop() as StreamLine;
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    this.stream.push({ ...line, value: text, fault, hostile: true });
    return revision;
  }

  /** What was stored last was not stored by the hostile client. */
  asIfOfAClient(): this {
    this.stream.push({ ...(this.stream.pop() as StreamLine), hostile: undefined });
    return this;
  }

  /** Removes what is under a key by the revision that the server has there, whatever the stream stored since. */
  removeAgain(at: number, part: string, expected: number): number {
    this.last.set(`${KEYS[this.job.kind]}.${this.job.name}.${part}`, expected);
    return this.store(at, part, null);
  }

  claim(at: number, permit: string, client = 'c0', slot = 0, more: object = {}): number {
    const { ttl } = this.job;
    return this.store(at, `slot.${slot}`, { permit, holder: `${client}.1`, ttl, ...more });
  }

  free(at: number, marker = 'PURGE', slot = 0): number {
    return this.store(at, `slot.${slot}`, null, marker);
  }

  ask(at: number, client = 'c0', timeout?: number): number {
    const ask = ++this.asks;
    this.client({ t: 'ask', at, ask, name: this.job.name, count: 1, timeout }, client);
    return ask;
  }

  /** From the asking to the grant, as it goes without faults. */
  grant(at: number, permit: string, client = 'c0', { slot = 0, token = 0, remaining = 900 } = {}): this {
    const ask = this.ask(at - 2, client);
    const revision = this.claim(at - 1, permit, client, slot);
    const { name } = this.job;
    return this.client(
      {
        t: 'grant',
        at,
        ask,
        permit,
        name,
        slots: [slot],
        token: String(token || fencingToken(revision)),
        remaining,
      },
      client,
    );
  }

  /** A permit on a slot that its process kept, under the revision that it was kept with. */
  again(at: number, permit: string, revision: number, use: number, client = 'c0'): this {
    const ask = this.ask(at - 1, client);
    const token = String(fencingToken(revision, use));
    const { name } = this.job;
    return this.client({ t: 'grant', at, ask, permit, name, slots: [0], token, remaining: 800 }, client);
  }

  /** A release after which the slot is kept. */
  keep(at: number, permit: string, client = 'c0'): this {
    this.client({ t: 'release', at, permit }, client);
    return this.client({ t: 'released', at, permit, code: 'ok' }, client);
  }

  release(at: number, permit: string, client = 'c0', slot = 0): this {
    this.client({ t: 'release', at, permit }, client);
    this.free(at + 1, 'PURGE', slot);
    return this.client({ t: 'released', at: at + 2, permit, code: 'ok' }, client);
  }

  /** As {@link grant}, of one side of a read-write lock. */
  grantTo(at: number, permit: string, mode: 'read' | 'write', client = 'c0'): this {
    const [slot, part] = mode === 'write' ? ['writer', 'writer'] : [`reader.${permit}`, `reader.${permit}`];
    const ask = this.ask(at - 2, client);
    const revision = this.store(at - 1, part, { permit, holder: `${client}.1`, ttl: this.job.ttl });
    const { name } = this.job;
    const token = String(fencingToken(revision));
    return this.client({ t: 'grant', at, ask, permit, name, slots: [slot], token, remaining: 900 }, client);
  }

  releaseOf(at: number, permit: string, mode: 'read' | 'write', client = 'c0'): this {
    this.client({ t: 'release', at, permit }, client);
    this.store(at + 1, mode === 'write' ? 'writer' : `reader.${permit}`, null);
    return this.client({ t: 'released', at: at + 2, permit, code: 'ok' }, client);
  }

  /** From the asking to the answer. */
  countDown(at: number, done: number, left: number, client = 'c0'): this {
    const { name } = this.job;
    this.client({ t: 'count', at: at - 2, name }, client);
    this.store(at - 1, `share.${client}`, { round: 'r', done, holder: `${client}.1` });
    return this.client({ t: 'counted', at, name, left }, client);
  }

  begin(at: number): this {
    this.store(at, 'count', { round: 'r', total: this.job.slots });
    return this;
  }

  /** What a server says that it has, by what is at the end of its keys. */
  read(at: number, entries: Record<string, number>, { upTo = this.revision, leads = true } = {}): this {
    const prefix = `${KEYS[this.job.kind]}.${this.job.name}.`;
    const found = Object.entries(entries).map(([part, revision]) => [prefix + part, revision] as const);
    this.readings.push({ at, server: 0, leads, upTo, entries: found });
    return this;
  }

  /** What was stored under these revisions was recorded by nobody. */
  forget(...revisions: number[]): this {
    this.stream = this.stream.filter(({ revision }) => !revisions.includes(revision));
    return this;
  }

  kinds(until = 60_000): string[] {
    return check(this.history(until)).violations.map(({ kind }) => kind);
  }

  figures(): Figures {
    return check(this.history(60_000)).figures;
  }

  /** What servers had for too long. */
  leftovers(): Figures['leftovers'] {
    return this.figures().leftovers;
  }

  private history(until: number): History {
    const runs = [...this.runs].map(([client, lines]) => ({ client, run: 1, lines }));
    const facts = {
      seed: 1,
      topology: 'r1',
      bucket: 'B',
      clients: 2,
      jobs: [this.job],
      startedAt: 0,
    };
    const { faults, readings, stream } = this;
    return { facts, runs, faults, stream, readings, hostile: [], until };
  }
}

const server = (kind: string, from: number, to: number): FaultLine[] => [
  { t: 'begin', at: from, fault: 1, kind, target: 'server', detail: '' },
  { t: 'end', at: to, fault: 1 },
];
const stopped = (client: string, from: number, to: number): FaultLine[] => [
  { t: 'begin', at: from, fault: 2, kind: 'client stopped', target: client, detail: '' },
  { t: 'end', at: to, fault: 2 },
];

/** Tales with nothing wrong in them, some of which look as if there were. */
const innocent: Record<string, () => Tale> = {
  'a slot passed on within a process': () => {
    const tale = new Tale().grant(10, 'a');
    const ask = tale.ask(12);
    tale.client({ t: 'release', at: 20, permit: 'a' });
    const revision = tale.claim(21, 'b', 'c0', 0, { after: 'a' });
    tale.client({ t: 'released', at: 22, permit: 'a', code: 'ok' });
    const grant = { t: 'grant', at: 22, ask, permit: 'b', name: 'one', slots: [0], remaining: 900 } as const;
    return tale.client({ ...grant, token: String(fencingToken(revision)) }).release(100, 'b');
  },
  'a slot given to a waiter of another process': () => {
    const tale = new Tale().grant(10, 'a');
    const ask = tale.ask(12, 'c1');
    tale.client({ t: 'release', at: 20, permit: 'a' });
    const revision = tale.claim(21, 'b', 'c1', 0, { after: 'a', given: 101 });
    tale.client({ t: 'released', at: 22, permit: 'a', code: 'ok' });
    const grant = { t: 'grant', at: 22, ask, permit: 'b', name: 'one', slots: [0], remaining: 900 } as const;
    return tale.client({ ...grant, token: String(fencingToken(revision)) }, 'c1').release(100, 'b', 'c1');
  },
  'a slot that is kept, and granted again': () => {
    const tale = new Tale({ ...ONE, retain: 500 }).grant(10, 'a').keep(20, 'a');
    const first = 102;
    tale.again(30, 'b', first, 1).keep(40, 'b');
    const kept = tale.claim(140, 'k', 'c0', 0, { after: 'a', kept: true });
    tale.again(200, 'c', kept, 1);
    // It lasted.
    tale.claim(300, 'c', 'c0', 0, { after: 'k', token: kept, use: 1 });
    return tale.release(400, 'c').grant(410, 'd', 'c1').release(420, 'd', 'c1');
  },

  'one after the other': () =>
    new Tale().grant(10, 'a').release(100, 'a').grant(110, 'b', 'c1').release(200, 'b', 'c1'),

  'a stopped process says only afterwards that it lost its permit'() {
    const tale = new Tale().grant(10, 'a').fault(...stopped('c0', 100, 2_500));
    tale.free(1_200, 'MaxAge');
    tale.grant(1_210, 'b', 'c1').release(1_300, 'b', 'c1');
    return tale.client({ t: 'lost', at: 2_500, permit: 'a', reason: '' });
  },

  'a killed process says nothing any more'() {
    const tale = new Tale().grant(10, 'a').fault({ t: 'kill', at: 50, client: 'c0', run: 1 });
    tale.free(1_150, 'MaxAge');
    return tale.grant(1_160, 'b', 'c1').release(1_200, 'b', 'c1');
  },

  'a removal that nobody recorded'() {
    const tale = new Tale().grant(10, 'a');
    tale.client({ t: 'release', at: 50, permit: 'a' });
    const removal = tale.free(51);
    return tale.grant(60, 'b', 'c1').release(70, 'b', 'c1').forget(removal);
  },

  'a removal that nobody recorded, of a slot that nobody wanted for long'() {
    const tale = new Tale().grant(10, 'a').fault({ t: 'kill', at: 50, client: 'c0', run: 1 });
    const removal = tale.free(1_150, 'MaxAge');
    return tale.grant(9_000, 'b', 'c1').release(9_010, 'b', 'c1').forget(removal);
  },

  'some who read at once, and one who writes when they are gone'() {
    const tale = new Tale(BOTH).grantTo(10, 'a', 'read').grantTo(11, 'b', 'read', 'c1');
    tale.releaseOf(50, 'a', 'read').releaseOf(60, 'b', 'read', 'c1');
    return tale
      .grantTo(70, 'c', 'write')
      .releaseOf(80, 'c', 'write')
      .grantTo(90, 'd', 'read')
      .releaseOf(99, 'd', 'read');
  },

  'one who has the place to write, and waits for those who read'() {
    const tale = new Tale(BOTH).grantTo(10, 'a', 'read');
    const ask = tale.ask(20, 'c1');
    const token = tale.store(21, 'writer', { permit: 'w', holder: 'c1.1', ttl: 1_000 });
    tale.releaseOf(800, 'a', 'read');
    const grant = {
      t: 'grant',
      at: 802,
      ask,
      permit: 'w',
      name: 'config',
      slots: ['writer'],
      remaining: 200,
    } as const;
    return tale
      .client({ ...grant, token: String(fencingToken(token)) }, 'c1')
      .releaseOf(850, 'w', 'write', 'c1');
  },

  'a latch counted down by two, and one who waits for it': () =>
    new Tale(LAPS)
      .begin(5)
      .countDown(10, 1, 1)
      .client({ t: 'wait', at: 15, name: 'laps' })
      .countDown(20, 1, 0, 'c1')
      .client({ t: 'open', at: 25, name: 'laps', since: 15 }),

  'a hold that ran out, and that the server has again at the end'() {
    const tale = new Tale().grant(10, 'a').fault({ t: 'kill', at: 50, client: 'c0', run: 1 });
    tale.free(1_150, 'MaxAge');
    return tale.fault({ t: 'left', at: 30_000, keys: ['sem.one.slot.0', 'sem.one.limit'], consumers: 0 });
  },

  'a server that is back, and has what was not removed'() {
    const tale = new Tale()
      .grant(10, 'a')
      .release(20, 'a')
      .grant(30, 'b')
      .read(40, { limit: 101, 'slot.0': 104 });
    return tale.release(50, 'b').read(60, { limit: 101 });
  },

  'a server that is back, and does not know yet of what was removed'() {
    const tale = new Tale().grant(10, 'a').release(20, 'a');
    return tale.read(30, { 'slot.0': 102 }, { upTo: 102, leads: false });
  },

  'a follower that has what was removed, and that clients do not believe': () =>
    new Tale().grant(10, 'a').release(20, 'a').read(30, { 'slot.0': 102 }, { leads: false }),

  'an entry whose ttl is over, which the server is about to remove': () =>
    new Tale().grant(10, 'a').release(20, 'a').read(1_100, { 'slot.0': 102 }),

  'an entry that nobody recorded, so that its ttl may be over'() {
    const tale = new Tale().grant(10, 'a').release(20, 'a').grant(30, 'b').release(40, 'b');
    return tale.forget(102).read(1_100, { 'slot.0': 102 });
  },

  'a share of a round that is over'() {
    const tale = new Tale(LAPS).begin(5).countDown(10, 1, 1).countDown(20, 1, 0, 'c1');
    tale.store(30, 'count', { round: 'next', total: 2 });
    tale.store(40, 'share.c0', null);
    return tale.read(9_000, { 'share.c0': 102 });
  },

  'a hold that was removed after a server was read'() {
    const tale = new Tale().grant(10, 'a');
    return tale.read(20, { 'slot.0': 102 }).release(30, 'a');
  },

  'a hold that ran out while its server was away'() {
    const tale = new Tale().grant(10, 'a').fault({ t: 'kill', at: 50, client: 'c0', run: 1 });
    tale.free(1_150, 'MaxAge');
    return tale.read(2_000, { 'slot.0': 102 });
  },

  'a claim that ran out unanswered, and was sent and stored again'() {
    const tale = new Tale();
    tale.claim(10, 'a');
    tale.free(1_200, 'MaxAge');
    return tale.grant(2_500, 'a').release(2_600, 'a');
  },

  'a slot that stays taken while the server is away'() {
    const tale = new Tale().grant(10, 'a').fault({ t: 'kill', at: 50, client: 'c0', run: 1 });
    tale.fault(...server('server killed', 100, 4_000)).free(4_300, 'MaxAge');
    return tale;
  },

  'nobody is served while the link is cut'() {
    const tale = new Tale();
    const ask = tale.ask(1_000);
    tale.fault(
      { t: 'begin', at: 900, fault: 1, kind: 'link cut', target: 'c0', detail: '' },
      { t: 'end', at: 30_000, fault: 1 },
    );
    const token = String(fencingToken(tale.claim(31_000, 'a')));
    const grant = {
      t: 'grant',
      at: 31_001,
      ask,
      permit: 'a',
      name: 'one',
      slots: [0],
      token,
      remaining: 900,
    };
    return tale.client(grant as ClientLine).release(31_100, 'a');
  },

  'slots of the hostile client that can not be read, and one beyond the limit'() {
    const tale = new Tale(BAIT);
    tale.forge(10, 'slot.0', '{"v":[[[');
    tale.forge(11, 'slot.7', FORGED_HOLD);
    tale.forge(12, 'ticket.hostile-0', '');
    tale.free(1_100, 'MaxAge');
    return tale.grant(1_110, 'a').release(1_200, 'a');
  },

  'an acquire of what is attacked, refused by an entry that can not be read'() {
    const tale = new Tale(BAIT);
    const ask = tale.ask(10, 'c0', 1_000);
    return tale.client({ t: 'refused', at: 20, ask, code: 'CORRUPT_ENTRY', message: '' });
  },

  'a wait for what is attacked, held up by a ticket of the hostile client'() {
    const tale = new Tale(BAIT).grant(10, 'a').release(20, 'a');
    tale.ask(30, 'c1');
    return tale;
  },

  'a gift of the hostile client to a ticket': () => gift((ticket) => ({ ticket: 'x', given: ticket })),

  'a slot that is handed off to a ticket of the hostile client, and is free when the hand-off ends'() {
    const tale = new Tale({ ...ONE, ttl: 10_000 });
    tale.store(10, 'slot.0', { permit: 'h', holder: 'hostile', ttl: 6_000, ticket: 'hostile-0' });
    tale.free(6_900, 'MaxAge');
    return tale;
  },
  'a slot that the hostile client holds, and gives to a ticket'() {
    const tale = new Tale(BAIT);
    tale.forge(3, 'slot.0', { ...FORGED_HOLD, permit: 'z' });
    return gift((ticket) => ({ ticket: 'x', given: ticket }), tale);
  },

  'shares of the hostile client, of another round'() {
    const tale = new Tale({ ...LAPS, attacked: true, slots: 9 }).begin(5).countDown(10, 1, 8);
    tale.forge(15, 'share.hostile-0', { round: 'r', done: 8, holder: 'c0.1' }, 'Nats-Subject');
    return tale.client({ t: 'wait', at: 16, name: 'laps' });
  },

  'a hold that was removed, and that a server has again when its ttl is over'() {
    const tale = new Tale().grant(100, 'a').release(200, 'a');
    tale.free(190);
    return tale.fault({ t: 'left', at: 30_000, keys: ['sem.one.slot.0'], consumers: 0 });
  },
  'what the hostile client wrote, left behind and had again'() {
    const tale = new Tale(BAIT);
    const first = tale.forge(10, 'ticket.hostile-0', 'x');
    tale.forge(20, 'ticket.hostile-0', 'y');
    tale.read(900, { 'ticket.hostile-0': first });
    tale.forge(1_000, 'slot.0', 'x');
    const keys = ['sem.one.slot.0', 'sem.one.ticket.hostile-0', 'sem.void-pool.slot.0'];
    return tale.fault({ t: 'left', at: 30_000, keys, consumers: 0 });
  },

  'nobody is served while the slot is held'() {
    const tale = new Tale().grant(10, 'a', 'c0', { remaining: 29_000 });
    const ask = tale.ask(20, 'c1');
    tale.release(28_000, 'a');
    const token = String(fencingToken(tale.claim(28_010, 'b', 'c1')));
    const grant = {
      t: 'grant',
      at: 28_011,
      ask,
      permit: 'b',
      name: 'one',
      slots: [0],
      token,
      remaining: 900,
    };
    return tale.client(grant as ClientLine, 'c1').release(28_100, 'b', 'c1');
  },
};

const FORGED_HOLD = { v: 1, permit: 'f', holder: 'hostile', since: '2026-03-01T12:00:00.000Z', ttl: 1_000 };

/** A waiter is granted a slot by the word of the hostile client. */
function gift(fields: (ticket: number) => object, tale = new Tale(BAIT)): Tale {
  const ask = tale.ask(5);
  const ticket = tale.store(6, 'ticket.x', { holder: 'c0.1', ttl: 10_000 });
  const revision = tale.forge(10, 'slot.0', { ...FORGED_HOLD, after: 'z', ...fields(ticket) });
  const grant = { t: 'grant', at: 11, ask, permit: 'f', name: 'one', slots: [0], remaining: 900 } as const;
  tale.client({ ...grant, token: String(fencingToken(revision)) });
  tale.store(12, 'ticket.x', null);
  return tale.release(20, 'f');
}

/** Tales with one thing wrong, by what that is called. */
const guilty: Record<string, [kind: string, tale: () => Tale][]> = {
  'beliefs of clients': [
    [
      'held twice',
      () => new Tale().grant(10, 'a').grant(50, 'b', 'c1').release(60, 'a').release(90, 'b', 'c1'),
    ],
    [
      'held twice',
      () => {
        const tale = new Tale().grant(10, 'a').fault(...stopped('c0', 100, 2_500));
        tale.client({ t: 'held', at: 50, permits: [['a', 5_000]] });
        tale.free(1_200, 'MaxAge');
        tale.grant(1_210, 'b', 'c1').release(1_300, 'b', 'c1');
        return tale.client({ t: 'lost', at: 2_500, permit: 'a', reason: '' });
      },
    ],
    [
      'above the limit',
      () =>
        new Tale()
          .grant(10, 'a')
          .grant(20, 'b', 'c1', { slot: 1 })
          .release(30, 'a')
          .release(31, 'b', 'c1', 1),
    ],
    [
      'token did not grow',
      () => {
        const tale = new Tale().grant(10, 'a').release(20, 'a');
        return tale.grant(30, 'b', 'c1', { token: 5 }).release(40, 'b', 'c1');
      },
    ],
    [
      'granted from nothing',
      // Kept, and given to another process; then it was granted once more.
      () => {
        const tale = new Tale().grant(10, 'a', 'c1').release(20, 'a', 'c1');
        return tale.again(30, 'b', 102, 1).keep(40, 'b');
      },
    ],
    [
      'believed after its end',
      () => {
        const tale = new Tale().grant(10, 'a').keep(20, 'a');
        tale.free(30);
        return tale.again(40, 'b', 102, 1).keep(50, 'b');
      },
    ],
    [
      'wrong token',
      () => {
        const tale = new Tale().grant(10, 'a').keep(20, 'a').again(30, 'b', 102, 2);
        tale.claim(140, 'b', 'c0', 0, { after: 'a', token: 102, use: 1 });
        return tale.release(150, 'b');
      },
    ],
    [
      'token did not grow',
      () => {
        const tale = new Tale().grant(10, 'a').keep(20, 'a').again(30, 'b', 102, 1).keep(40, 'b');
        return tale.again(50, 'c', 102, 1).release(60, 'c');
      },
    ],
    ['wrong token', () => new Tale().grant(10, 'a', 'c0', { token: 7 }).release(20, 'a')],
    [
      'lost too early',
      () => {
        const tale = new Tale().grant(10, 'a');
        tale.free(50);
        return tale.client({ t: 'lost', at: 50, permit: 'a', reason: 'taken from it' });
      },
    ],
    [
      'believed after its end',
      () => {
        const tale = new Tale().grant(10, 'a', 'c0', { remaining: 1_500 });
        tale.free(1_050, 'MaxAge');
        return tale.client({ t: 'lost', at: 1_510, permit: 'a', reason: '' });
      },
    ],
    [
      'believed after its end',
      () => {
        const tale = new Tale().grant(10, 'a');
        // Believed again, by a renewal that was acknowledged after the lease had run out, and undone.
        tale.client({ t: 'held', at: 1_000, permits: [['a', 900]] });
        tale.free(1_100, 'MaxAge');
        return tale.client({ t: 'lost', at: 1_103, permit: 'a', reason: '' });
      },
    ],
  ],
  'the stream': [
    [
      'written over',
      () => {
        const tale = new Tale().grant(10, 'a');
        tale.claim(500, 'b', 'c1');
        tale.client({ t: 'release', at: 499, permit: 'a' });
        tale.free(600);
        return tale;
      },
    ],
    [
      'written over',
      () => {
        const tale = new Tale().grant(10, 'a').release(20, 'a');
        tale.claim(30, 'a', 'c0', 0, { token: 102 });
        tale.free(40);
        return tale;
      },
    ],
    [
      'written over',
      // Another process takes over what was released, without its being given back.
      () => {
        const tale = new Tale().grant(10, 'a');
        tale.client({ t: 'release', at: 20, permit: 'a' });
        tale.claim(21, 'b', 'c1', 0, { after: 'a' });
        tale.free(40);
        return tale;
      },
    ],
    [
      'written over',
      () => {
        const tale = new Tale().grant(10, 'a').release(20, 'a');
        tale.claim(30, 'b', 'c0', 0, { after: 'a' });
        tale.free(40);
        return tale;
      },
    ],
    [
      'written over',
      // It is given away by somebody who does not have it.
      () => {
        const tale = new Tale().grant(10, 'a').release(20, 'a').grant(30, 'b');
        tale.claim(40, 'c', 'c1', 0, { after: 'a', given: 101 });
        tale.free(50);
        return tale;
      },
    ],
    [
      'held twice',
      // It is passed on before whoever had it has stopped believing.
      () => {
        const tale = new Tale().grant(10, 'a');
        const ask = tale.ask(12);
        const revision = tale.claim(20, 'b', 'c0', 0, { after: 'a' });
        const grant = {
          t: 'grant',
          at: 21,
          ask,
          permit: 'b',
          name: 'one',
          slots: [0],
          remaining: 900,
        } as const;
        tale.client({ ...grant, token: String(fencingToken(revision)) });
        tale.client({ t: 'release', at: 500, permit: 'a' });
        tale.client({ t: 'release', at: 600, permit: 'b' });
        tale.free(601);
        return tale;
      },
    ],
    [
      'limit changed',
      () => {
        const tale = new Tale();
        tale.store(10, 'limit', { slots: 2 });
        return tale;
      },
    ],
  ],
  'what the hostile client wrote': [
    ['granted from a forgery', () => gift((ticket) => ({ ticket: 'x', given: ticket - 1 }))],
    ['granted from a forgery', () => gift((ticket) => ({ ticket: 'other', given: ticket }))],
    ['granted from a forgery', () => gift((ticket) => ({ ticket: 'x', given: ticket, ttl: 1e12 }))],
    ['granted from a forgery', () => gift(() => ({}))],
    [
      'written over',
      // A slot that can not be read is taken.
      () => {
        const tale = new Tale(BAIT);
        tale.forge(10, 'slot.0', 'x');
        return tale.grant(20, 'a').release(30, 'a');
      },
    ],
    [
      'written over',
      // Its value could be read, its headers can not.
      () => {
        const tale = new Tale(BAIT);
        tale.forge(10, 'slot.0', FORGED_HOLD, 'Nats-Sequence');
        return tale.grant(20, 'a').release(30, 'a');
      },
    ],
    [
      'above the limit',
      // By a limit that only the hostile client names.
      () => {
        const tale = new Tale(BAIT);
        tale.forge(5, 'ticket.hostile-0', { v: 1, slots: 9 }, 'Nats-Subject');
        return tale.grant(20, 'a', 'c0', { slot: 1 }).release(30, 'a', 'c0', 1);
      },
    ],
    [
      'held twice',
      () => new Tale(BAIT).grant(10, 'a').grant(50, 'b', 'c1').release(60, 'a').release(90, 'b', 'c1'),
    ],
    [
      'refused',
      // Nobody writes to it but clients.
      () => {
        const tale = new Tale();
        const ask = tale.ask(10, 'c0', 1_000);
        return tale.client({ t: 'refused', at: 20, ask, code: 'CORRUPT_ENTRY', message: '' });
      },
    ],
    [
      'hung',
      () => {
        const tale = new Tale(BAIT);
        const ask = tale.ask(10, 'c0', 1_000);
        return tale.client({ t: 'refused', at: 4_000, ask, code: 'CORRUPT_ENTRY', message: '' });
      },
    ],
    ['reader ended', () => new Tale().client({ t: 'reader ended', at: 5, name: 'list', error: 'TypeError' })],
    [
      'unreadable',
      // Of a client, not of the hostile one.
      () => {
        const tale = new Tale(BAIT);
        tale.forge(10, 'slot.0', 'x');
        return tale.asIfOfAClient();
      },
    ],
    [
      'crashed',
      () => new Tale().fault({ ...exit({ code: 1, expected: false }), client: 'hostile' } as FaultLine),
    ],
  ],
  'what a server has when it is back': [
    ['came back', () => new Tale().grant(10, 'a').release(20, 'a').read(900, { 'slot.0': 102 })],
    [
      'came back',
      // A place in the queue is nobody's slot, and stays removed as well.
      () => {
        const tale = new Tale();
        const ticket = tale.store(10, 'ticket.x', { holder: 'c0.1', ttl: 10_000 });
        tale.store(20, 'ticket.x', null);
        return tale.read(3_000, { 'ticket.x': ticket });
      },
    ],
    [
      'came back',
      // It was released and taken again; then the first of the two was there.
      () => {
        const tale = new Tale().grant(10, 'a').release(20, 'a').grant(30, 'b').release(40, 'b');
        return tale.read(900, { 'slot.0': 102 });
      },
    ],
    [
      'came back',
      // What a renewal wrote over.
      () => {
        const tale = new Tale().grant(10, 'a');
        tale.claim(400, 'a', 'c0', 0, { token: 102 });
        return tale.read(500, { 'slot.0': 102 }).release(600, 'a');
      },
    ],
    [
      'came back',
      () => new Tale(BOTH).grantTo(10, 'a', 'read').releaseOf(20, 'a', 'read').read(30, { 'reader.a': 101 }),
    ],
    [
      'came back',
      // Of the round that goes on.
      () => {
        const tale = new Tale({ ...LAPS, slots: 9 }).begin(5).countDown(10, 1, 8).countDown(20, 2, 7);
        return tale.read(900, { 'share.c0': 102 });
      },
    ],
    [
      'left behind',
      () => {
        // A server would have kept it for longer than that.
        const tale = new Tale().grant(10, 'a').release(20, 'a');
        return tale.fault({ t: 'left', at: 900, keys: ['sem.one.slot.0'], consumers: 0 });
      },
    ],
  ],
  'read-write locks': [
    [
      'written while held',
      () => {
        const tale = new Tale(BOTH).grantTo(10, 'a', 'read').grantTo(20, 'b', 'write', 'c1');
        return tale.releaseOf(30, 'a', 'read').releaseOf(40, 'b', 'write', 'c1');
      },
    ],
    [
      'let in',
      () => {
        const tale = new Tale(BOTH).grantTo(10, 'a', 'write').client({ t: 'release', at: 15, permit: 'a' });
        tale.grantTo(20, 'b', 'read', 'c1').releaseOf(30, 'b', 'read', 'c1');
        tale.store(40, 'writer', null);
        return tale;
      },
    ],
    [
      'held twice',
      () => {
        const tale = new Tale(BOTH).grantTo(10, 'a', 'write').grantTo(20, 'b', 'write', 'c1');
        return tale.releaseOf(30, 'a', 'write').releaseOf(40, 'b', 'write', 'c1');
      },
    ],
    [
      'believed after its end',
      () => {
        const tale = new Tale(BOTH).grantTo(10, 'a', 'read');
        tale.store(500, 'reader.a', null, 'MaxAge');
        return tale.client({ t: 'lost', at: 900, permit: 'a', reason: '' });
      },
    ],
    [
      'never freed',
      () => {
        const tale = new Tale(BOTH)
          .grantTo(10, 'a', 'read')
          .fault({ t: 'kill', at: 50, client: 'c0', run: 1 });
        tale.store(4_000, 'reader.a', null, 'MaxAge');
        return tale;
      },
    ],
  ],
  latches: [
    // One that counted twice, and one that was not stored.
    ['miscounted', () => new Tale({ ...LAPS, slots: 9 }).begin(5).countDown(10, 2, 7)],
    [
      'miscounted',
      () => {
        const tale = new Tale({ ...LAPS, slots: 9 }).begin(5).countDown(10, 1, 8);
        tale.client({ t: 'count', at: 20, name: 'laps' });
        return tale.client({ t: 'counted', at: 21, name: 'laps', left: 7 });
      },
    ],
    [
      'let go early',
      () =>
        new Tale(LAPS)
          .begin(5)
          .countDown(10, 1, 1)
          .client({ t: 'wait', at: 15, name: 'laps' })
          .client({ t: 'open', at: 25, name: 'laps', since: 15 })
          .countDown(40, 1, 0, 'c1'),
    ],
    [
      'not let go',
      () =>
        new Tale(LAPS)
          .begin(5)
          .countDown(10, 1, 1)
          .client({ t: 'wait', at: 15, name: 'laps' })
          .countDown(40, 1, 0, 'c1'),
    ],
  ],
  'going on': [
    [
      'not served',
      () => {
        const tale = new Tale().grant(10, 'a').release(20, 'a');
        tale.ask(30, 'c1');
        return tale;
      },
    ],
    [
      'not served',
      () => {
        const tale = new Tale().fault(...server('server killed', 100, 2_000));
        tale.store(2_400, 'ticket.x', {});
        tale.ask(50, 'c1');
        return tale;
      },
    ],
    [
      'hung',
      () => {
        const tale = new Tale();
        const ask = tale.ask(10, 'c0', 1_000);
        return tale.client({ t: 'refused', at: 4_000, ask, code: 'ACQUIRE_TIMEOUT', message: '' });
      },
    ],
    [
      'never freed',
      () => {
        const tale = new Tale().grant(10, 'a').fault({ t: 'kill', at: 50, client: 'c0', run: 1 });
        tale.free(4_000, 'MaxAge');
        return tale;
      },
    ],
    [
      'forgotten',
      () => {
        const tale = new Tale({ ...ONE, ttl: 10_000 });
        tale.claim(10, 'a');
        tale.free(9_000, 'MaxAge');
        return tale;
      },
    ],
  ],
  'how it ended': [
    ['unhandled', () => new Tale().client({ t: 'fault', at: 1, error: 'Error: oh' })],
    [
      'refused',
      () => {
        const tale = new Tale();
        const ask = tale.ask(10, 'c0', 1_000);
        return tale.client({ t: 'refused', at: 20, ask, code: 'CORRUPT_ENTRY', message: '' });
      },
    ],
    [
      'refused',
      () => {
        const tale = new Tale();
        const ask = tale.ask(10);
        return tale.client({ t: 'refused', at: 20, ask, code: 'BACKEND_UNAVAILABLE', message: '' });
      },
    ],
    ['release failed', () => new Tale().client({ t: 'released', at: 20, permit: 'a', code: 'TypeError' })],
    ['hung', () => new Tale().fault({ t: 'hung', at: 1, client: 'c0', run: 1 })],
    ['crashed', () => new Tale().fault(exit({ code: 70, expected: false }))],
    ['crashed', () => new Tale().fault(exit({ code: 0, expected: false }))],
    ['crashed', () => new Tale().fault(exit({ code: 1, expected: true }))],
    ['left behind', () => new Tale().fault({ t: 'left', at: 1, keys: ['sem.one.slot.0'], consumers: 0 })],
    ['left behind', () => new Tale().fault({ t: 'left', at: 1, keys: ['sem.one.limit'], consumers: 1 })],
  ],
};

function exit(some: { code: number; expected: boolean }): FaultLine {
  return { t: 'exit', at: 1, client: 'c0', run: 1, signal: null, stderr: '', ...some };
}

describe('the checker', () => {
  it.each(Object.entries(innocent))('finds nothing wrong: %s', (_, tell) => {
    expect(tell().kinds()).toEqual([]);
  });

  describe.each(Object.entries(guilty))('in %s', (_, cases) => {
    it.each(cases.map(([kind, tell], i) => [kind, i, tell] as const))('finds "%s" (%i)', (kind, _i, tell) => {
      expect(tell().kinds()).toContain(kind);
    });
  });
});

describe('the figures', () => {
  it('give the waits for what the hostile client does not write to, and those of calm times apart', () => {
    const tale = new Tale()
      .grant(10, 'a')
      .release(20, 'a')
      .fault(...stopped('c5', 4_000, 6_000));
    const ask = tale.ask(5_000);
    const token = String(fencingToken(tale.claim(5_998, 'b')));
    const grant = { t: 'grant', at: 6_000, ask, permit: 'b', name: 'one', slots: [0], token, remaining: 900 };
    tale.client(grant as ClientLine).release(6_100, 'b');
    expect(tale.figures().waits).toEqual({
      all: { count: 2, median: 501, p99: 990 },
      calm: { count: 1, median: 2, p99: 2 },
    });
    expect(new Tale(BAIT).grant(10, 'a').release(20, 'a').figures().waits.all).toBeUndefined();
  });
});

describe('what servers had for too long', () => {
  const none = { alive: 0, expiring: 0, forgotten: 0 };

  it('counts what was removed again, and by whose account it was there', () => {
    const tale = new Tale().grant(10, 'a').release(20, 'a').read(900, { 'slot.0': 102 });
    tale.read(900, { 'slot.0': 102 }, { leads: false });
    // Removed under the revision of what was removed before: while the server might have done so, and long after.
    tale.removeAgain(1_100, 'slot.0', 102);
    tale.removeAgain(5_000, 'slot.0', 102);
    const ticket = tale.store(6_000, 'ticket.x', { ttl: 1_000 });
    tale.store(7_100, 'ticket.x', null, 'MaxAge');
    tale
      .read(7_200, { 'ticket.x': ticket }, { leads: false })
      .read(9_000, { 'ticket.x': ticket }, { leads: false });
    const wish = tale.store(9_000, 'wish.x', { ttl: 1_000 });
    tale.store(9_100, 'wish.x', null);
    tale.read(10_100, { 'wish.x': wish });
    expect(tale.leftovers()).toEqual({
      holds: { sweptForgotten: 1, sweptEarly: 1, onLeader: { ...none, alive: 1 }, onFollower: none },
      tickets: { sweptForgotten: 0, sweptEarly: 0, onLeader: none, onFollower: { ...none, forgotten: 1 } },
      others: { sweptForgotten: 0, sweptEarly: 0, onLeader: { ...none, expiring: 1 }, onFollower: none },
    });
  });

  it('counts what was removed long after its ttl while the server was well, and nothing else', () => {
    const hold = { permit: 'p', holder: 'c0.1', ttl: 1_000 };
    const overdue = new Tale();
    overdue.store(10, 'slot.0', hold);
    overdue.store(4_000, 'slot.0', null);
    expect(overdue.leftovers().holds).toMatchObject({ sweptForgotten: 1, sweptEarly: 0 });

    const away = new Tale().fault(...server('server killed', 500, 4_500));
    away.store(10, 'slot.0', hold);
    away.store(5_000, 'slot.0', null);
    away.store(5_100, 'ticket.x', { ttl: 10_000 });
    away.store(5_200, 'ticket.x', null);
    expect(away.leftovers()).toMatchObject({ holds: { sweptForgotten: 0 }, tickets: { sweptForgotten: 0 } });
  });
});
