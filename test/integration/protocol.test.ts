import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type NatsConnection, connect } from '@nats-io/transport-node';
import { NatsDispatcher, type Semaphore } from '../../src';
import { TestServer } from '../../src/testing';
import { BucketProbe } from '../support/bucket-probe';
import {
  type Answer,
  type Follower,
  ForeignClient,
  type StoredEntry,
  encodeName,
  fromHeaders,
  lastSequence,
  newId,
  stored,
  wholeSeconds,
} from '../support/foreign-client';
import { eventually } from '../support/eventually';
import { ProtocolText, type Values } from '../support/protocol-text';
import { fencingToken as ownToken } from '../../src/protocol/fencing-token';
import { fencingToken, revisionOf } from '../support/token';

/** `docs/protocol.md`, played: a client that knows nothing but the page meets the library in one bucket. */
const text = new ProtocolText();

/** Headers that the server adds to what it announces. */
const ADDED = ['Nats-Stream', 'Nats-Subject', 'Nats-Sequence', 'Nats-Time-Stamp', 'Nats-Last-Sequence'];

let server: TestServer;
let connection: NatsConnection;
let buckets = 0;
let bucket: string;
let foreign: ForeignClient;
let ours: NatsDispatcher;

beforeAll(async () => {
  server = await TestServer.start();
  connection = await connect({ servers: server.url });
});

afterAll(async () => {
  await connection.close();
  await server.stop();
});

beforeEach(async () => {
  bucket = `P${++buckets}`;
  foreign = new ForeignClient(connection, text, bucket);
  await foreign.createBucket();
  ours = await NatsDispatcher.connect({ servers: server.url, bucket, holder: 'ours:1' });
});

afterEach(async () => {
  const { safetyFinds } = ours.diagnostics.feed;
  await ours.close();
  foreign.stop();
  const left = (await foreign.readAll()).filter(
    ({ key, value }) => value !== undefined && !key.endsWith('.limit'),
  );
  expect({ safetyFinds, left }).toEqual({ safetyFinds: 0, left: [] });
});

/** A semaphore of ours that the foreign client has made, and what it hears of it. */
async function shared(name: string, slots: number, options: { fair?: boolean } = {}) {
  await foreign.setLimit(name, slots);
  const follower = await foreign.follow(name);
  return { semaphore: ours.semaphore(name, undefined, options), follower };
}

/** Waits until our client waits: its ticket stands in the queue. */
async function queued(follower: Follower, holder = 'ours:1') {
  return follower.until(() => follower.queue.find(({ record }) => record.holder === holder));
}

/** The first thing heard of a key from now on that `matches`. */
async function heard(follower: Follower, key: string, matches: (entry: StoredEntry) => boolean) {
  return follower.until(() => follower.heard.find((entry) => entry.key === key && matches(entry)));
}

/** Our view comes to show these holders, or waiters, in this order. It may be an announcement behind. */
async function shows(
  semaphore: Semaphore,
  expected: { holders?: string[]; waiters?: string[] },
): Promise<void> {
  await eventually(async () => {
    const { holders, waiters } = await semaphore.status();
    const shown = {
      holders: holders.map(({ holder }) => holder),
      waiters: waiters.map(({ holder }) => holder),
    };
    expect(shown).toMatchObject(expected);
  });
}

function kindOf(type: string): string {
  if (type.startsWith('object')) return 'object';
  if (type.startsWith('boolean')) return 'boolean';
  return type.startsWith('string') ? 'string' : 'number';
}

/** Compares a value with an example of the page and the table of its fields. */
function expectFields(entry: StoredEntry, block: string, section: string): void {
  const value = JSON.parse(entry.value ?? '') as Record<string, unknown>;
  expect(Object.keys(value).sort()).toEqual(Object.keys(text.json(block)).sort());
  const table = text.rowsOf(section, 'field');
  expect(table.map(([field]) => field)).toEqual(expect.arrayContaining(Object.keys(value)));
  for (const [field, type, required] of table as [string, string, string][]) {
    if (required === 'yes' || field in value) {
      expect([field, typeof value[field]]).toEqual([field, kindOf(type)]);
    }
  }
}

describe('the page and the bucket', () => {
  it('describes the stream that the library makes', async () => {
    const name = `${bucket}made`;
    await using maker = await NatsDispatcher.connect({ servers: server.url, bucket: name });
    await maker.ready();
    const reader = new ForeignClient(connection, text, name);
    const [config, token] = [await reader.bucketConfig(), await reader.token()];
    expect(token).toMatch(/^[A-Za-z0-9_-]{16,128}$/);
    const { first_seq: described, ...others } = text.json('stream', { bucket: name, token });
    expect(config).toMatchObject(others);
    const made = config.first_seq as number;
    expect(String(made)).toHaveLength(String(described).length);
    expect(Math.abs(made - Date.now() * 1000)).toBeLessThan(60_000_000);
  });

  it('describes a stream that the library accepts', async () => {
    await expect(ours.ready()).resolves.toBeUndefined();
  });

  it('encodes names as the library does, and says so in its table', async () => {
    const rows = text.rows('name (JSON)');
    expect(rows.length).toBeGreaterThan(5);
    for (const [json, token] of rows as [string, string][]) {
      const name = JSON.parse(json) as string;
      expect(encodeName(name)).toBe(token);
      expect(await ours.semaphore(name).trySetPermits(7)).toBe(true);
      const limit = await foreign.readOnLeader(`sem.${token}.limit`);
      expect(JSON.parse(limit?.value ?? '')).toEqual({ ...text.json('limit'), slots: 7 });
    }
    const listed = (await ours.list()).map(({ name }) => name);
    expect(new Set(listed)).toEqual(new Set(rows.map(([json]) => JSON.parse(json as string) as string)));
  });

  it('names the TTLs that the library sends', async () => {
    const { semaphore, follower } = await shared('ttl', 1);
    for (const [ms, seconds] of text.rows('ttl in ms') as [string, string][]) {
      expect(`${wholeSeconds(Number(ms))}s`).toBe(seconds);
      const permit = await semaphore.lock({ ttl: Number(ms), timeout: 5_000 });
      const claim = await heard(
        follower,
        'sem.ttl.slot.0',
        ({ revision }) => fencingToken(revision) === permit.fencingToken,
      );
      expect(claim.headers.get('Nats-TTL')).toBe(seconds);
      await permit.release();
    }
  });
});

describe('what the library writes', () => {
  /** Compares an announced write with a message block of the page. */
  function expectAsOnPage(entry: StoredEntry, block: string, values: Values): void {
    const write = entry.headers.get('Semaphore-Write') ?? 'none';
    const shown = text.message(block, { bucket, write, hold: '', ticket: '', limit: '', ...values });
    expect(entry.headers.get('Nats-Subject')).toBe(shown.subject);
    const sent = [...entry.headers].filter(([header]) => !ADDED.includes(header));
    expect(new Map(sent)).toEqual(shown.headers);
  }

  it('is what the page shows: claim, renewal, release', async () => {
    const { semaphore, follower } = await shared('s', 1);
    const permit = await semaphore.lock({ ttl: 30_000 });
    const key = 'sem.s.slot.0';
    const claim = await heard(follower, key, () => true);
    expectAsOnPage(claim, 'claim', { name: 's', slot: 0, expected: 0, seconds: 30 });
    expectFields(claim, 'hold', '3.1');
    expect(permit.fencingToken).toBe(fencingToken(claim.revision));

    await permit.renew();
    const renewal = await heard(follower, key, ({ revision }) => revision > claim.revision);
    expectAsOnPage(renewal, 'renew', { ...at(claim), 'hold-renewed': '', seconds: 30 });
    expect(JSON.parse(renewal.value ?? '')).toMatchObject({ permit: permit.id, token: claim.revision });

    await permit.release();
    const release = await heard(follower, key, ({ value }) => value === undefined);
    expectAsOnPage(release, 'release', { ...at(renewal), seconds: 30 });
  });

  it('is what the page shows: a slot passed on to the next of the same process', async () => {
    const { semaphore, follower } = await shared('s', 1);
    const first = await semaphore.lock(5_000);
    const claim = await heard(follower, 'sem.s.slot.0', () => true);
    const waiting = semaphore.lock(5_000);
    await first.release();
    const second = await waiting;
    const taken = await heard(follower, 'sem.s.slot.0', ({ revision }) => revision > claim.revision);
    expectAsOnPage(taken, 'pass-on', { ...at(claim), 'hold-after': '', seconds: 30 });
    expectFields(taken, 'hold-after', '3.1');
    expect(JSON.parse(taken.value ?? '')).toMatchObject({ permit: second.id, after: first.id });
    expect(second.fencingToken).toBe(fencingToken(taken.revision));
    await second.release();
    expect(await first.release()).toBe(false);
  });

  it('is what the page shows: a slot given to the next in the queue', async () => {
    const { semaphore, follower } = await shared('s', 1, { fair: true });
    const permit = await semaphore.lock(5_000);
    const ticket = await foreign.join('s', { meta: { job: 'nightly' } });
    // Until ours has heard of it.
    await pause(100);
    await permit.release();
    const given = await heard(follower, 'sem.s.slot.0', ({ revision }) => revision > ticket.revision);
    const claim = { name: 's', slot: 0, expected: revisionOf(permit.fencingToken) };
    expectAsOnPage(given, 'give', { ...claim, 'hold-given': '', seconds: 6 });
    const { meta, ...shown } = JSON.parse(given.value ?? '') as Record<string, unknown>;
    expect(Object.keys(shown).sort()).toEqual(Object.keys(text.json('hold-given')).sort());
    const expected = { holder: 'foreign:1', ticket: ticket.id, given: ticket.revision, after: permit.id };
    expect({ ...shown, meta }).toMatchObject({ ...expected, ttl: 6_000, meta: { job: 'nightly' } });
    await foreign.release({ ...ticket, key: { name: 's', slot: 0 }, revision: given.revision });
    await foreign.leave(ticket);
  });

  it('a slot that a foreign client gives to our ticket is held by ours', async () => {
    const { semaphore, follower } = await shared('s', 1, { fair: true });
    const hold = await foreign.claim('s', 0);
    const waiting = semaphore.lock(20_000);
    const { id } = await queued(follower);
    const ticket = await heard(follower, `sem.s.ticket.${id}`, () => true);
    const given = await foreign.give(hold!, { ticket: id, given: ticket.revision });
    const permit = await waiting;
    expect([permit.isHeld, permit.fencingToken]).toEqual([true, fencingToken(given.revision)]);
    await permit.renew();
    const renewed = await heard(follower, 'sem.s.slot.0', ({ revision }) => revision > given.revision);
    expect(JSON.parse(renewed.value ?? '')).toMatchObject({ permit: permit.id, ttl: 30_000, ticket: id });
    await permit.release();
  });

  it('is what the page shows: a hold by ticket, with everything in it', async () => {
    const { semaphore, follower } = await shared('s', 1, { fair: true });
    const foreignHold = await foreign.claim('s', 0);
    const waiting = semaphore.lock({ timeout: 20_000, metadata: { job: 'nightly' } });
    const { id } = await queued(follower);
    const ticket = await heard(follower, `sem.s.ticket.${id}`, () => true);
    expectAsOnPage(ticket, 'ticket', { name: 's', id, seconds: 10 });
    // Due after a third of its ttl of 10 s.
    const renewed = await heard(follower, ticket.key, ({ revision }) => revision > ticket.revision);
    expectAsOnPage(renewed, 'ticket-renew', {
      ...at(ticket),
      id,
      'ticket-renewed': '',
      seconds: 10,
    });
    expectFields(renewed, 'ticket-renewed', '3.2');
    expect(JSON.parse(renewed.value ?? '')).toMatchObject({ token: ticket.revision, count: 1 });

    await foreign.release(foreignHold!);
    const permit = await waiting;
    const gone = await heard(follower, ticket.key, ({ value }) => value === undefined);
    expectAsOnPage(gone, 'ticket-delete', { ...at(renewed), id, seconds: 10 });
    await permit.renew();
    const token = revisionOf(permit.fencingToken);
    const hold = await heard(follower, 'sem.s.slot.0', ({ revision }) => revision > token);
    expectFields(hold, 'hold-renewed', '3.1');
    expect(JSON.parse(hold.value ?? '')).toMatchObject({ ticket: id, token, meta: { job: 'nightly' } });
    await permit.release();
  });

  it('is what the page shows: a claim of two, and a limit', async () => {
    const { semaphore, follower } = await shared('s', 2);
    const permit = await semaphore.lock({ count: 2 });
    for (const [i, block] of ['batch-first', 'batch-last'].entries()) {
      const claim = await heard(follower, `sem.s.slot.${permit.slots[i]}`, () => true);
      const batch = claim.headers.get('Nats-Batch-Id') ?? '';
      const slot = permit.slots[i] as number;
      expectAsOnPage(claim, block, { name: 's', slot, expected: 0, seconds: 30, batch });
      if (i === 1) expect(permit.fencingToken).toBe(fencingToken(claim.revision));
    }
    await permit.release();

    const before = await foreign.readOnLeader('sem.s.limit');
    await semaphore.setPermits(5);
    const limit = await heard(follower, 'sem.s.limit', ({ revision }) => revision > before!.revision);
    expectAsOnPage(limit, 'limit-change', at(before!));
    expectFields(limit, 'limit', '3.3');

    const other = await foreign.follow('other');
    await ours.semaphore('other').setPermits(2);
    const created = await heard(other, 'sem.other.limit', () => true);
    expectAsOnPage(created, 'limit-create', { name: 'other' });
  });

  function at(entry: StoredEntry): Values {
    const [, name = '', , which = ''] = entry.key.split('.');
    return { name, slot: which, expected: entry.revision };
  }
});

describe('holding', () => {
  it('a foreign holder blocks ours and hands over on release', async () => {
    const { semaphore } = await shared('s', 1);
    const hold = await foreign.claim('s', 0);
    expect(await semaphore.tryAcquire()).toBeNull();
    const waiting = semaphore.lock(20_000);
    await shows(semaphore, { holders: ['foreign:1'] });
    await foreign.release(hold!);
    const permit = await waiting;
    expect(permit.fencingToken).toBeGreaterThan(fencingToken(hold!.token));
    await shows(semaphore, { holders: ['ours:1'] });
    await permit.release();
  });

  it('ours blocks the foreign one and hands over on release', async () => {
    const { semaphore, follower } = await shared('s', 1);
    const permit = await semaphore.lock();
    expect(await foreign.claim('s', 0)).toBeUndefined();
    const released = follower.until(() => !follower.values.has('sem.s.slot.0'));
    await permit.release();
    await released;
    const hold = await foreign.claim('s', 0);
    expect(fencingToken(hold!.token)).toBeGreaterThan(permit.fencingToken);
    expect(await semaphore.tryAcquire()).toBeNull();
    await foreign.release(hold!);
  });

  it('a foreign renewal keeps the hold, and its fencing token', async () => {
    const { semaphore } = await shared('s', 1);
    let hold = await foreign.claim('s', 0, { ttl: 2_000 });
    const waiting = semaphore.lock(20_000);
    let granted = false;
    void waiting.then(() => (granted = true));
    for (let i = 0; i < 7; i++) {
      await pause(500);
      hold = await foreign.renew(hold!);
      expect(granted).toBe(false);
    }
    const { holders } = await semaphore.status();
    expect(holders).toMatchObject([{ holder: 'foreign:1', fencingToken: fencingToken(hold!.token) }]);
    await foreign.release(hold!);
    await (await waiting).release();
  });

  it('a foreign client that dies passes its slot on, and its late renewal is refused', async () => {
    const { semaphore, follower } = await shared('s', 1);
    const hold = await foreign.claim('s', 0, { ttl: 1_000 });
    const permit = await semaphore.lock(20_000);
    expect(permit.fencingToken).toBeGreaterThan(fencingToken(hold!.token));
    const expiry = await heard(follower, 'sem.s.slot.0', ({ headers }) => headers.has('Nats-Marker-Reason'));
    const shown = text.message('expiry', {
      ...{
        bucket,
        token: await foreign.token(),
        name: 's',
        slot: 0,
        revision: expiry.revision,
        time: expiry.time,
        last: hold!.revision,
      },
    });
    expect(expiry.headers).toEqual(shown.headers);
    await expect(foreign.renew(hold!)).rejects.toThrow('10071');
    await expect(foreign.release(hold!)).rejects.toThrow('10071');
    expect(permit.isHeld).toBe(true);
    await permit.release();
  });

  it('a foreign claim of two slots by one batch takes both, or none', async () => {
    const { semaphore } = await shared('s', 2);
    await foreign.setLimit('t', 1);
    const both = await foreign.claimTogether([
      { name: 's', slot: 0 },
      { name: 's', slot: 1 },
    ]);
    expect(both.answer.count).toBe(2);
    const { holders, available } = await semaphore.status();
    expect(available).toBe(0);
    expect(holders).toMatchObject([{ slots: [0, 1], fencingToken: fencingToken(both.held[0]!.token) }]);
    expect(await semaphore.tryAcquire()).toBeNull();

    const none = await foreign.claimTogether([
      { name: 't', slot: 0 },
      { name: 's', slot: 1 },
    ]);
    expect(none.answer.error?.err_code).toBe(10071);
    const permit = await ours.semaphore('t').tryAcquire();
    expect(permit?.slots).toEqual([0]);

    // Each slot is released by itself; ours wants both.
    const waiting = semaphore.lock({ count: 2, timeout: 20_000 });
    for (const hold of both.held) await foreign.release(hold);
    const whole = await waiting;
    expect(whole.slots.toSorted()).toEqual([0, 1]);
    await whole.release();
    await permit?.release();
  });

  it('a foreign forced release makes our permit lost', async () => {
    const { semaphore, follower } = await shared('s', 1);
    const permit = await semaphore.lock();
    const [held] = await foreign
      .read('s')
      .then((entries) => entries.filter(({ value }) => value?.includes(permit.id)));
    const lost = new Promise((resolve) => permit.signal.addEventListener('abort', resolve));
    await foreign.release({
      key: { name: 's', slot: 0 },
      record: { ttl: 30_000 },
      revision: held!.revision,
      token: held!.revision,
    });
    await lost;
    expect(permit.isHeld).toBe(false);
    expect(permit.signal.reason).toMatchObject({ name: 'PermitLostError', code: 'PERMIT_LOST' });
    expect(follower.values.has('sem.s.slot.0')).toBe(false);
    const next = await foreign.claim('s', 0);
    expect(await permit.release()).toBe(false);
    await shows(semaphore, { holders: ['foreign:1'] });
    await foreign.release(next!);
  });
});

describe('queueing', () => {
  it('a foreign ticket ahead of ours is served first, and ours after it', async () => {
    const { semaphore, follower } = await shared('s', 1, { fair: true });
    const first = await foreign.claim('s', 0);
    // Renewed, so that its place is in its token and no longer in its revision.
    const ticket = await foreign.join('s');
    const waiting = semaphore.lock(30_000);
    let granted = false;
    void waiting.then(() => (granted = true));
    const our = await queued(follower);
    const renewed = await foreign.renewTicket(ticket);
    await follower.until(
      () => follower.entries.get(`sem.s.ticket.${ticket.id}`)!.revision === renewed.revision,
    );
    expect(follower.queue.map(({ id }) => id)).toEqual([ticket.id, our.id]);
    await shows(semaphore, { waiters: ['foreign:1', 'ours:1'] });

    await foreign.release(first!);
    // The slot is free, and ours leaves it alone: it is not first.
    await pause(300);
    expect(granted).toBe(false);
    const second = await foreign.claim('s', 0, { ticket: ticket.id });
    // Served, though its ticket still stands.
    await shows(semaphore, { waiters: ['ours:1'] });
    await foreign.leave(renewed);
    await pause(300);
    expect(granted).toBe(false);
    await foreign.release(second!);
    const permit = await waiting;
    expect(permit.fencingToken).toBeGreaterThan(fencingToken(second!.token));
    await permit.release();
  });

  it('our ticket ahead of the foreign one is served first, and the foreign one after it', async () => {
    const { semaphore, follower } = await shared('s', 1, { fair: true });
    const first = await foreign.claim('s', 0);
    const waiting = semaphore.lock(30_000);
    const our = await queued(follower);
    const ticket = await foreign.join('s');
    const seen = await foreign.follow('s');
    expect(seen.queue.map(({ id }) => id)).toEqual([our.id, ticket.id]);

    await foreign.release(first!);
    const permit = await waiting;
    const values = await follower.until(() => follower.values.has('sem.s.slot.0') && follower.values);
    expect(values.get('sem.s.slot.0')).toMatchObject({ permit: permit.id, ticket: our.id });
    await permit.release();
    await follower.until(() => follower.queue[0]?.id === ticket.id && !follower.values.has('sem.s.slot.0'));
    const last = await foreign.claim('s', 0, { ticket: ticket.id });
    expect(fencingToken(last!.token)).toBeGreaterThan(permit.fencingToken);
    await foreign.leave(ticket);
    await foreign.release(last!);
  });

  it('the foreign ticket of a client that died is passed over when its ttl ends', async () => {
    const { semaphore } = await shared('s', 1, { fair: true });
    const before = performance.now();
    await foreign.join('s', { ttl: 2_000 });
    // Joined before ours; who does not queue may take what is free meanwhile.
    expect(await semaphore.tryAcquire().then((permit) => permit?.release())).toBe(true);
    const permit = await semaphore.lock(20_000);
    expect(performance.now() - before).toBeGreaterThan(1_900);
    await permit.release();
  });

  it('a foreign ticket for two slots is not overtaken by ours for one', async () => {
    const { semaphore, follower } = await shared('s', 2, { fair: true });
    const first = await foreign.claim('s', 0);
    const second = await foreign.claim('s', 1);
    const ticket = await foreign.join('s', { count: 2 });
    const waiting = semaphore.lock(30_000);
    let granted = false;
    void waiting.then(() => (granted = true));
    await queued(follower);
    await foreign.release(first!);
    await pause(300);
    expect(granted).toBe(false);
    await foreign.release(second!);
    const markers = await follower.until(
      () => follower.values.size === 3 && [0, 1].map((slot) => follower.entries.get(`sem.s.slot.${slot}`)),
    );
    const wants = markers.map((marker, slot) => ({ name: 's', slot, expected: marker!.revision }));
    const both = await foreign.claimTogether(wants, { ticket: ticket.id });
    // The marker of the slot released first may have gone away while the test looked on.
    const held =
      both.held.length > 0
        ? both.held
        : [
            await foreign.claim('s', 0, { ticket: ticket.id }),
            await foreign.claim('s', 1, { ticket: ticket.id }),
          ];
    await foreign.leave(ticket);
    await shows(semaphore, { waiters: ['ours:1'] });
    await foreign.release(held[1]!);
    const permit = await waiting;
    expect(permit.slots).toEqual([1]);
    await permit.release();
    await foreign.release(held[0]!);
  });
});

describe('the limit', () => {
  it('a limit raised by the foreign client is followed by ours, also while it waits', async () => {
    const { semaphore } = await shared('s', 1);
    const permit = await semaphore.lock();
    const waiting = semaphore.lock(20_000);
    await foreign.setLimit('s', 2);
    const second = await waiting;
    expect([permit.slots, second.slots]).toEqual([[0], [1]]);
    await foreign.setLimit('s', 1);
    await permit.release();
    // One is held above the limit: nothing is to be had below it.
    expect(await semaphore.tryAcquire()).toBeNull();
    expect(permit.signal.aborted || second.signal.aborted).toBe(false);
    await second.release();
    const third = await semaphore.lock(5_000);
    expect(third.slots).toEqual([0]);
    await third.release();
  });

  it.each(text.rows('limit') as [string, string, string][])(
    'under a limit of %s with %s taken, slots below %s may be granted',
    async (limit, slots, t) => {
      const taken = slots === 'none' ? [] : slots.split(', ').map(Number);
      const { semaphore } = await shared('s', 20);
      const holds = [];
      for (const slot of taken) holds.push(await foreign.claim('s', slot));
      await foreign.setLimit('s', Number(limit));
      const permit = await semaphore.drainPermits();
      const allowed = Array.from({ length: Number(t) }, (_, i) => i).filter((i) => !taken.includes(i));
      expect(permit?.slots.toSorted() ?? []).toEqual(allowed);
      expect(allowed.length + taken.length).toBeLessThanOrEqual(Math.max(Number(limit), taken.length));
      await permit?.release();
      for (const hold of holds) await foreign.release(hold!);
    },
  );
});

describe('looking', () => {
  it('our status shows the foreign holder and waiter as they are', async () => {
    const { semaphore, follower } = await shared('s', 2);
    const meta = { job: 'nightly' };
    const hold = await foreign.claim('s', 1, { meta, ttl: 20_000, unknown: ['to', 'us'] });
    const ticket = await foreign.join('s', { meta, count: 2 });
    const written = (key: string) =>
      follower.until(() => follower.entries.get(key)).then((entry) => Date.parse(entry.time));
    const status = await semaphore.status();
    expect(status).toEqual({
      name: 's',
      kind: 'semaphore',
      slots: 2,
      available: 1,
      kept: [],
      holders: [
        {
          permitId: hold!.record.permit,
          holder: 'foreign:1',
          slots: [1],
          since: new Date(hold!.record.since as string),
          expiresAt: new Date((await written('sem.s.slot.1')) + 20_000),
          fencingToken: fencingToken(hold!.token),
          metadata: meta,
        },
      ],
      waiters: [
        {
          holder: 'foreign:1',
          count: 2,
          since: new Date(ticket.record.since as string),
          expiresAt: new Date((await written(`sem.s.ticket.${ticket.id}`)) + 10_000),
          metadata: meta,
        },
      ],
      corrupt: [],
    });
    expect(await ours.list()).toEqual([{ name: 's', kind: 'semaphore', slots: 2, held: 1, waiting: 1 }]);
    await foreign.leave(ticket);
    await foreign.release(hold!);
  });

  it('values that the page calls unreadable count as taken, and heal when they are removed', async () => {
    const { semaphore } = await shared('s', 1);
    const rows = text.rows('value of a slot');
    expect(rows.length).toBeGreaterThan(5);
    const { v, ...hold } = text.json('hold');
    expect(v).toBe(1);
    const required = text.rowsOf('3.1', 'field').filter(([, , needed]) => needed === 'yes');
    const incomplete = required
      .filter(([field]) => field !== 'v')
      .map(([field]) => JSON.stringify({ v, ...hold, [field as string]: undefined }));
    for (const value of [...rows.map(([garbage]) => garbage as string), ...incomplete]) {
      const revision = await foreign.claimWith('s', 0, { hold: value, seconds: 30 });
      await eventually(async () => {
        const { available, corrupt } = await semaphore.status();
        expect({ value, available, keys: corrupt.map(({ key }) => key) }).toEqual({
          ...{ value, available: 0, keys: ['sem.s.slot.0'] },
        });
      });
      expect(await semaphore.tryAcquire().catch(() => null)).toBeNull();
      stored(await foreign.write('release', { name: 's', slot: 0, expected: revision!, seconds: 30 }));
    }
    const permit = await semaphore.lock(5_000);
    await permit.release();
  });

  it('an unreadable limit grants nothing, and an unreadable ticket has no place', async () => {
    const { semaphore } = await shared('s', 1, { fair: true });
    const ticket = await foreign.join('s', { v: 2 });
    const permit = await semaphore.lock(5_000);
    await permit.release();
    await foreign.leave(ticket);

    await foreign.setLimit('t', 1);
    const known = await foreign.readOnLeader('sem.t.limit');
    const broken = { name: 't', expected: known!.revision, limit: '{"v":2,"slots":1}' };
    stored(await foreign.write('limit-change', broken));
    await expect(ours.semaphore('t').lock(2_000)).rejects.toMatchObject({ code: 'CORRUPT_ENTRY' });
    await foreign.setLimit('t', 1);
    await (await ours.semaphore('t').lock(5_000)).release();
  });
});

describe('names that go', () => {
  /** The notice goes by itself. */
  const noticeGone = (): Promise<void> =>
    eventually(async () => expect((await foreign.readOnLeader('sem.s.removed'))?.value).toBeUndefined());

  it('a limit with forgetAfter is kept while it is used, with its number changed too', async () => {
    const follower = await foreign.follow('s');
    const semaphore = ours.semaphore('s', 2, { forgetAfter: 3_000 });
    const permit = await semaphore.lock();
    const first = await heard(follower, 'sem.s.limit', () => true);
    expect(Object.keys(JSON.parse(first.value ?? '') as object)).toEqual(
      Object.keys(text.json('limit-that-goes')),
    );
    const again = await heard(follower, 'sem.s.limit', ({ revision }) => revision > first.revision);
    const shown = text.message('limit-keep', {
      ...{ bucket, name: 's', expected: first.revision, seconds: 3, 'limit-that-goes': '' },
      write: again.headers.get('Semaphore-Write') ?? '',
    });
    expect(again.headers.get('Nats-TTL')).toBe(shown.headers.get('Nats-TTL'));
    expect(again.headers.get('Nats-Expected-Last-Subject-Sequence')).toBe(String(first.revision));
    await semaphore.setPermits(4);
    const changed = await heard(follower, 'sem.s.limit', ({ value }) => value?.includes('4') === true);
    expect(JSON.parse(changed.value ?? '')).toEqual({ v: 1, slots: 4, forgetAfter: 3_000 });
    await permit.release();
  });

  it('our removal is what the page shows', async () => {
    const { semaphore, follower } = await shared('s', 1);
    await semaphore.lock(5_000, () => undefined);
    expect(await semaphore.remove()).toBe(true);
    const notice = await heard(follower, 'sem.s.removed', () => true);
    expect(notice.headers.get('Nats-TTL')).toBe('2s');
    expect(Object.keys(JSON.parse(notice.value ?? '') as object)).toEqual(Object.keys(text.json('notice')));
    await heard(follower, 'sem.s.limit', ({ value }) => value === undefined);
    await noticeGone();
  });

  it('a foreign notice ends our waiters and, by force, our holders', async () => {
    const { semaphore } = await shared('s', 1);
    const permit = await semaphore.lock();
    const waiting = semaphore.lock(20_000).catch((error: { code: string }) => error.code);
    const listening = ours.semaphore('s').watch()[Symbol.asyncIterator]();
    await listening.next();
    const notice = JSON.stringify({ ...text.json('notice'), force: true });
    stored(await foreign.write('notice-write', { name: 's', expected: 0, seconds: 2, notice }));
    expect(await waiting).toBe('REMOVED');
    await eventually(() => expect(permit.isHeld).toBe(false));
    await expect(listening.next()).rejects.toMatchObject({ code: 'REMOVED' });
    await noticeGone();
  });
});

describe('a kept slot', () => {
  const KEY = 'sem.s.slot.0';
  const RETAIN_MS = 600_000;

  /** Has us keep the slot, and write it down. */
  async function kept() {
    const { follower } = await shared('s', 1);
    const semaphore = ours.semaphore('s', undefined, { retain: RETAIN_MS });
    await eventually(async () => {
      await semaphore.lock(5_000, () => undefined);
      expect((await semaphore.status()).kept).toHaveLength(1);
    });
    const note = await heard(follower, KEY, ({ value }) => value?.includes('"kept":true') === true);
    return { semaphore, follower, note };
  }

  it('is written down, and granted again, as the page shows', async () => {
    const { semaphore, follower, note } = await kept();
    expectFields(note, 'hold-kept', '3.1');
    const permit = await semaphore.lock(5_000);
    expect(permit.fencingToken).toBe(fencingToken(note.revision, 1));
    const again = await heard(follower, KEY, ({ revision }) => revision > note.revision);
    expectFields(again, 'hold-again', '3.1');
    const { permit: before } = JSON.parse(note.value ?? '') as { permit: string };
    expect(JSON.parse(again.value ?? '')).toMatchObject({
      permit: permit.id,
      token: note.revision,
      use: 1,
      after: before,
    });
    expect((await semaphore.status()).holders).toMatchObject([{ fencingToken: permit.fencingToken }]);
    await permit.release();
  });

  it('is given back when a wish of another client comes', async () => {
    const { follower } = await kept();
    const wish = {
      name: 's',
      id: 'wish-of-another',
      expected: 0,
      seconds: 10,
      wish: JSON.stringify(text.json('wish')),
    };
    const answer = await foreign.write('wish-write', wish);
    await follower.until(() => !follower.values.has(KEY));
    const hold = await foreign.claim('s', 0);
    await foreign.release(hold!);
    stored(
      await foreign.write('wish-delete', { name: 's', id: wish.id, expected: stored(answer), seconds: 10 }),
    );
  });

  it('is given back when its time is over, also to a client that writes nothing while it waits', async () => {
    const { follower } = await shared('s', 1);
    const semaphore = ours.semaphore('s', undefined, { retain: 200 });
    let grants = 0;
    let done = false;
    const using = (async () => {
      while (!done) {
        await semaphore.lock(20_000, () => void grants++);
        // So that announcements are heard.
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    // Until it keeps the slot.
    await eventually(() => expect(grants).toBeGreaterThan(100));
    const hold = text.json('hold');
    let revision: number | undefined;
    while (revision === undefined) {
      const heard = follower.heard.length;
      const marker = await follower.until(() =>
        follower.heard.slice(heard).find(({ key, value }) => key === KEY && value === undefined),
      );
      const claim = {
        name: 's',
        slot: 0,
        expected: marker.revision,
        seconds: 30,
        hold: JSON.stringify(hold),
      };
      revision = (await foreign.write('claim', claim)).seq || undefined;
    }
    done = true;
    stored(await foreign.write('release', { name: 's', slot: 0, expected: revision, seconds: 30 }));
    await using;
  });

  it('is given back when another client queues', async () => {
    const { follower } = await kept();
    const ticket = await foreign.join('s');
    await follower.until(() => !follower.values.has(KEY));
    await foreign.leave(ticket);
  });

  it('of another client: we wish for it while we wait, and no longer', async () => {
    const { semaphore, follower } = await shared('s', 1);
    const hold = await foreign.claim('s', 0, { retain: RETAIN_MS, kept: true, ttl: 30_000 });
    const { kept: shown, available } = await semaphore.status();
    expect([shown, available]).toMatchObject([[{ slot: 0, holder: 'foreign:1' }], 1]);
    const waiting = semaphore.lock(20_000);
    const wish = await follower.until(() => follower.heard.find(({ key }) => key.startsWith('sem.s.wish.')));
    expect(Object.keys(JSON.parse(wish.value ?? '') as object).sort()).toEqual(
      Object.keys(text.json('wish')).sort(),
    );
    expect(wish.headers.get('Nats-TTL')).toBe('10s');
    await foreign.release(hold!);
    await (await waiting).release();
    await follower.until(() =>
      follower.heard.find(({ key, value }) => key === wish.key && value === undefined),
    );
  });

  it('has tokens as the page reckons them', () => {
    const rows = text.rows('revision');
    expect(rows.length).toBeGreaterThan(2);
    for (const [revision, use, token] of rows)
      expect(String(ownToken(Number(revision), Number(use)))).toBe(token);
  });
});

describe('a write that was not answered', () => {
  it('is sent again: refused, and found to be ours by its id', async () => {
    const { semaphore } = await shared('s', 1);
    const write = newId();
    const hold = JSON.stringify(text.json('hold'));
    const message = text.message('claim', {
      ...{ bucket, name: 's', slot: 0, expected: 0, write, seconds: 30, hold },
    });
    foreign.sendBlindly(message);
    const again = await foreign.send(message);
    const found = await foreign.readOnLeader('sem.s.slot.0');
    expect(found?.headers.get('Semaphore-Write')).toBe(write);
    expect(found?.revision).toBe(lastSequence(again));
    expect(await semaphore.tryAcquire()).toBeNull();
    stored(await foreign.write('release', { name: 's', slot: 0, expected: found!.revision, seconds: 30 }));
  });

  it('is withdrawn: a marker in its place keeps it out when it arrives late', async () => {
    const { semaphore } = await shared('s', 1);
    const before = await foreign.claim('s', 0);
    const renewal = text.message('renew', {
      ...{ bucket, name: 's', slot: 0, expected: before!.revision, write: newId(), seconds: 30 },
      'hold-renewed': JSON.stringify(text.json('hold-renewed')),
    });
    stored(await foreign.write('withdraw', { key: 'sem.s.slot.0', expected: before!.revision, seconds: 30 }));
    expect((await foreign.send(renewal)).error?.err_code).toBe(10071);
    const permit = await semaphore.lock(5_000);
    expect((await foreign.send(renewal)).error?.err_code).toBe(10071);
    expect(permit.isHeld).toBe(true);
    await permit.release();
  });
});

describe('a latch', () => {
  const read = async (key: string) => {
    const entry = await foreign.readOnLeader(key);
    return {
      revision: entry!.revision,
      value: JSON.parse(entry!.value ?? 'null') as Record<string, unknown>,
    };
  };
  /** Shares of a latch that stand. */
  const shares = async (name: string): Promise<string[]> => {
    await using probe = await BucketProbe.open(server.url, bucket);
    return (await probe.liveKeys()).filter((key) => key.startsWith(`latch.${name}.share.`));
  };

  it('that the foreign client began is counted down by both, and ours wakes at zero', async () => {
    const round = text.json('round');
    const key = { name: 'l', expected: 0 };
    stored(await foreign.write('round-set', { ...key, round: JSON.stringify({ ...round, total: 3 }) }));
    const latch = ours.latch('l');
    const waiting = latch.wait({ timeout: 20_000 });
    const share = JSON.stringify({ ...text.json('share'), round: round.round, done: 2 });
    stored(await foreign.write('count-down', { ...key, client: 'foreign', share }));
    expect(await latch.count()).toBe(1);
    expect(await latch.countDown()).toBe(0);
    await waiting;
    await eventually(async () => {
      expect((await read('latch.l.count')).value).toEqual({ ...round, total: 3, over: true });
      expect(await shares('l')).toEqual([]);
    });
  });

  it('of ours is written as the page says', async () => {
    const latch = ours.latch('l', 2);
    expect(await latch.countDown()).toBe(1);
    const { value: round, revision } = await read('latch.l.count');
    expect(round).toEqual({ ...text.json('round'), round: expect.any(String), total: 2 });
    const [own] = await shares('l');
    const { value: share } = await read(own!);
    expect(share).toEqual({ ...text.json('share'), round: round.round, done: 1, holder: 'ours:1' });

    // The foreign client marks it as over; who waits goes on, and a new round may begin.
    const waiting = latch.wait({ timeout: 20_000 });
    const over = JSON.stringify({ ...text.json('round-over'), round: round.round, total: 2 });
    stored(await foreign.write('round-set', { name: 'l', expected: revision, round: over }));
    await waiting;
    expect(await latch.countDown()).toBe(0);
    expect(await latch.trySetCount(1)).toBe(true);
    expect((await read('latch.l.count')).value.round).not.toBe(round.round);
    expect(await latch.countDown()).toBe(0);
    await eventually(async () => expect(await shares('l')).toEqual([]));
  });

  it('lets go who waits when another round begins', async () => {
    const begin = async (id: string, expected: number): Promise<number> => {
      const round = JSON.stringify({ ...text.json('round'), round: id });
      return stored(await foreign.write('round-set', { name: 'l', expected, round }));
    };
    const first = await begin('first', 0);
    const waiting = ours.latch('l').wait({ timeout: 20_000 });
    await expect(ours.latch('l').wait({ timeout: 2_000 })).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
    await begin('second', first);
    await waiting;
  });
});

it('the worked example is what happens', async () => {
  const example = new ForeignClient(connection, text, 'EXAMPLE');
  const steps = text.messages('example');
  const first = /"seq":(\d+)/.exec(steps[1]?.body ?? '')?.[1];
  const token = steps.find(({ verb }) => verb === 'ANNOUNCED')?.subject.split('.')[2];
  await example.createBucket(Number(first), token);
  const announced = new Map<string, { headers: Map<string, string>; body: string }>();
  let wake = (): void => undefined;
  const subscription = connection.subscribe(`$SEMAPHORE.EXAMPLE.${token}.>`, {
    callback: (_, message) => {
      const headers = fromHeaders(message.headers);
      announced.set(headers.get('Nats-Sequence') ?? '', { headers, body: message.string() });
      wake();
    },
  });
  await connection.flush();

  // All at once, as the server takes them in their order: a slow machine must not let a marker go away in between.
  const answers: Promise<Answer>[] = [];
  const expected: unknown[] = [];
  const announcements: typeof steps = [];
  for (const step of steps) {
    if (step.verb === 'PUB') answers.push(example.send(step));
    else if (step.verb === 'ANSWER') expected.push(JSON.parse(step.body));
    else announcements.push(step);
  }
  expect(await Promise.all(answers)).toEqual(expected);
  expect(announcements.length).toBeGreaterThan(2);
  for (const { subject, headers, body } of announcements) {
    const sequence = headers.get('Nats-Sequence') ?? '';
    while (!announced.has(sequence)) await new Promise<void>((resolve) => (wake = resolve));
    const found = announced.get(sequence);
    const time = found?.headers.get('Nats-Time-Stamp') ?? '';
    expect(found?.headers).toEqual(new Map([...headers, ['Nats-Time-Stamp', time]]));
    expect(found?.body).toBe(body);
    expect(found?.headers.get('Nats-Subject')).toBe(
      subject.replace(`$SEMAPHORE.EXAMPLE.${token}`, '$KV.EXAMPLE'),
    );
  }
  const [late] = text.messages('example-late');
  expect((await example.send(late!)).error?.err_code).toBe(10071);
  subscription.unsubscribe();
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
