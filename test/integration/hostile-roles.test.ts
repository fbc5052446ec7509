/**
 * What a client with the rights of a worker or an observer of `docker/roles.conf` can do to others by entries, messages and
 * reply subjects: nothing is granted above a limit, no reader ends, and other primitives go on.
 */
import { connect as connectSocket } from 'node:net';
import { once } from 'node:events';
import { relative } from 'node:path';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it } from '@jest/globals';
import { connect as connect2 } from 'nats';
import {
  type NatsConnection,
  type NatsConnection as Connection3,
  connect as connect3,
  headers,
} from '@nats-io/transport-node';
import { NatsDispatcher, type Permit } from '../../src';
import { TestServer } from '../../src/testing';
import { eventually } from '../support/eventually';
import { ROLES_FILE, type Role, inboxOf } from '../support/roles';
import { scratchDirectory } from '../support/scratch';
import { violations } from '../support/violations';

const SINCE = '2026-03-01T12:00:00.000Z';
const TICKET = { v: 1, holder: 'h', since: SINCE, ttl: 10_000, count: 1 };
const env = { NATS_OPERATOR_PASSWORD: 'po', NATS_WORKER_PASSWORD: 'pw', NATS_OBSERVER_PASSWORD: 'pb' };
const login = (role: Role) => ({
  servers: server.url,
  user: role,
  pass: { operator: 'po', worker: 'pw', observer: 'pb' }[role],
  inboxPrefix: inboxOf(role),
});

let server: TestServer;
let opened: { close(): Promise<void> }[] = [];
let names = 0;

beforeAll(async () => {
  const dir = scratchDirectory();
  const single = relative(dir.path, join(__dirname, '..', '..', 'docker', 'single.conf'));
  const config = dir.write('roles.conf', `include "${single}"\n${readFileSync(ROLES_FILE, 'utf8')}`);
  server = await TestServer.start({ config, env });
});
afterAll(() => server.stop());
afterEach(async () => {
  for (const each of opened.reverse()) await each.close();
  opened = [];
});

async function raw(role: Role): Promise<Connection3> {
  const connection = await connect3(login(role));
  opened.push(connection);
  return connection;
}

describe.each([
  ['nats 3.x', connect3],
  ['nats 2.x', connect2 as unknown as typeof connect3],
])('with clients of %s', (_, connect) => {
  let operator: NatsDispatcher;
  let worker: NatsDispatcher;
  let other: NatsDispatcher;
  let name: string;

  async function dispatcher(role: Role): Promise<NatsDispatcher> {
    const connection: NatsConnection = await connect(login(role));
    const made = new NatsDispatcher(connection);
    opened.push(connection, made);
    return made;
  }

  beforeEach(async () => {
    name = `s${names++}`;
    operator = await dispatcher('operator');
    [worker, other] = [await dispatcher('worker'), await dispatcher('worker')];
    for (const each of [name, `${name}b`]) await operator.semaphore(each).setPermits(1);
  });

  const subject = (part: string, of = name): string => `$KV.SEMAPHORES.sem.${of}.${part}`;

  /** Publishes as a worker, with header bytes that no client library would write. */
  async function publish(to: string, headers: string, value: string): Promise<void> {
    const socket = connectSocket(server.port, '127.0.0.1');
    await once(socket, 'connect');
    const { user, pass } = login('worker');
    const payload = `${headers}${value}`;
    socket.write(`CONNECT ${JSON.stringify({ verbose: false, headers: true, user, pass })}\r\n`);
    socket.write(
      `HPUB ${to} ${Buffer.byteLength(headers)} ${Buffer.byteLength(payload)}\r\n${payload}\r\nPING\r\n`,
    );
    for await (const data of socket) if (String(data).includes('PONG')) break;
    socket.destroy();
  }

  /** A permit of another primitive goes on, and so do lists, fresh clients, and this one. */
  async function others(): Promise<void> {
    const fresh = await dispatcher('worker');
    const mine = await worker.semaphore(`${name}b`).acquire({ timeout: 5_000 });
    expect(await fresh.semaphore(`${name}b`).tryAcquire()).toBeNull();
    expect(await mine.release()).toBe(true);
    expect((await fresh.list()).map((each) => each.name)).toEqual(expect.arrayContaining([name, `${name}b`]));
  }

  it.each([
    [
      'of a limit',
      (of: string) => [`Nats-Subject: $KV.SEMAPHORES.sem.${of}.limit`, 'Nats-Sequence: 9007199254740000'],
      '{"v":1,"slots":5}',
    ],
    [
      'of a removed slot',
      (of: string) => [
        `Nats-Subject: $KV.SEMAPHORES.sem.${of}.slot.0`,
        'Nats-Sequence: 9007199254740000',
        'Nats-Marker-Reason: MaxAge',
      ],
      '',
    ],
    ['of a later revision', () => ['Nats-Sequence: 9007199254740000'], JSON.stringify(TICKET)],
  ] as const)('a ticket with the headers %s changes nothing for anybody', async (_what, headers, value) => {
    const semaphore = worker.semaphore(name);
    const held = await semaphore.acquire({ timeout: 5_000 });
    const waiting = other.semaphore(name).acquire({ timeout: 20_000 });
    await publish(subject('ticket.x'), ['NATS/1.0', ...headers(name), '', ''].join('\r\n'), value);
    const observer = await dispatcher('observer');
    await eventually(async () =>
      expect((await observer.semaphore(name).status()).corrupt).toMatchObject([
        { key: `sem.${name}.ticket.x` },
      ]),
    );
    expect(await observer.semaphore(name).status()).toMatchObject({ slots: 1, available: 0, waiters: [] });
    expect(await (await dispatcher('worker')).semaphore(name).tryAcquire()).toBeNull();
    expect(held.isHeld).toBe(true);
    await others();
    await held.renew();
    expect(await held.release()).toBe(true);
    expect(await (await waiting).release()).toBe(true);
  });

  it.each([
    ['a deep value', 'NATS/1.0\r\n\r\n', `{"v":${'['.repeat(4_500)}${']'.repeat(4_500)}}`],
    ['headers that the client refuses', 'NATS/1.0\r\nA: b\rc\r\n\r\n', '{}'],
    ['a header name that the client refuses', 'NATS/1.0\r\nA b: c\r\n\r\n', '{}'],
    ['a status', 'NATS/1.0 404 No Messages\r\n\r\n', '{}'],
    ['a status without an end', 'NATS/1.0 404 No Messages\r\n', '{}'],
    ['bytes that are no UTF-8', 'NATS/1.0\r\n\r\n', '\u00ff'],
    [
      'a time that is none',
      'NATS/1.0\r\n\r\n',
      JSON.stringify({ ...TICKET, permit: 'p', since: 'not a date', ttl: 1e308 }),
    ],
  ])('an entry with %s ends no reader, and counts as taken', async (_what, headers, value) => {
    const held = await worker.semaphore(`${name}b`).acquire({ timeout: 5_000 });
    const waiting = other.semaphore(`${name}b`).acquire({ timeout: 20_000 });
    const stop = new AbortController();
    const seen = other.semaphore(name).watch({ signal: stop.signal })[Symbol.asyncIterator]();
    await seen.next();
    for (const part of ['slot.0', 'ticket.x', 'wish.x']) await publish(subject(part), headers, value);
    expect((await seen.next()).value).toMatchObject({ name });
    stop.abort();
    const keys = ['slot.0', 'ticket.x', 'wish.x'].map((part) => ({ key: `sem.${name}.${part}` }));
    await eventually(async () =>
      expect((await worker.semaphore(name).status()).corrupt).toEqual(
        expect.arrayContaining(keys.map((key) => expect.objectContaining(key))),
      ),
    );
    await expect(worker.semaphore(name).acquire({ timeout: 5_000 })).rejects.toMatchObject({
      code: 'CORRUPT_ENTRY',
    });
    await publish(`$KV.SEMAPHORES.sem.${'x'.repeat(300)}.slot.0`, headers, value);
    expect(held.isHeld).toBe(true);
    expect((await worker.list()).map((each) => each.name)).toContain(name);
    expect(await held.release()).toBe(true);
    expect(await (await waiting).release()).toBe(true);
  });

  it('a ticket with another ttl and place than a client writes holds nobody up, and is swept', async () => {
    await publish(
      subject('ticket.x'),
      'NATS/1.0\r\n\r\n',
      JSON.stringify({ ...TICKET, ttl: 1e12, token: 1 }),
    );
    const semaphore = worker.semaphore(name, undefined, { fair: true });
    const held = await semaphore.acquire({ timeout: 5_000 });
    const waiting = other.semaphore(name, undefined, { fair: true }).acquire({ timeout: 40_000 });
    await eventually(async () => expect((await semaphore.status()).corrupt).toEqual([]), 30_000);
    expect(await held.release()).toBe(true);
    expect(await (await waiting).release()).toBe(true);
  });

  it('answers that an observer has the server store are taken for nothing but what they are', async () => {
    const held = await worker.semaphore(`${name}b`).acquire({ timeout: 5_000 });
    const observer = await raw('observer');
    const [expired, held0] = [subject('ticket.e'), subject('slot.0', `${name}b`)];
    const ask = async (api: string, query: object, reply: string): Promise<void> => {
      observer.publish(`$JS.API.${api}.KV_SEMAPHORES`, JSON.stringify(query), { reply });
      await observer.flush();
    };
    // The marker of an expiry, copied over a slot that is held. Writes of the library name the revision that they expect: a copy is refused.
    await publish(expired, 'NATS/1.0\r\nNats-TTL: 1s\r\n\r\n', '{}');
    await eventually(async () => {
      const query = JSON.stringify({ last_by_subj: expired });
      const { headers } = await observer.request('$JS.API.DIRECT.GET.KV_SEMAPHORES', query);
      expect(headers?.get('Nats-Marker-Reason')).toBe('MaxAge');
    });
    await ask('DIRECT.GET', { last_by_subj: expired }, held0);
    const seen = (await dispatcher('observer')).semaphore(`${name}b`);
    await eventually(async () =>
      expect(await seen.status()).toMatchObject({ available: 0, corrupt: [{ key: `sem.${name}b.slot.0` }] }),
    );
    // The hold is gone all the same: an answer that is stored is a write. Its holder hears of it from its next renewal.
    await expect(held.renew()).rejects.toMatchObject({ code: 'PERMIT_LOST' });
    expect(held.isHeld).toBe(false);
    for (const [api, query] of [
      ['DIRECT.GET', { last_by_subj: subject('limit') }],
      ['DIRECT.GET', { multi_last: [subject('>')] }],
      ['DIRECT.GET', { last_by_subj: subject('none') }],
      ['STREAM.MSG.GET', { last_by_subj: subject('limit') }],
      ['STREAM.INFO', {}],
    ] as const) {
      await ask(api, query, subject('slot.7'));
      await ask(api, query, subject('limit', `${name}c`));
      await eventually(async () =>
        expect((await worker.semaphore(name).status()).corrupt).toMatchObject([
          { key: `sem.${name}.slot.7` },
        ]),
      );
      await expect(worker.semaphore(`${name}c`).acquire({ timeout: 5_000 })).rejects.toMatchObject({
        code: 'CORRUPT_ENTRY',
      });
    }
  });

  it('an operator finds what can not be read, and removes it', async () => {
    for (const part of ['slot.0', 'ticket.x'])
      await publish(subject(part), 'NATS/1.0\r\nNats-Sequence: 9\r\n\r\n', JSON.stringify(TICKET));
    await expect(worker.semaphore(name).acquire({ timeout: 5_000 })).rejects.toMatchObject({
      code: 'CORRUPT_ENTRY',
    });
    const keys = [`sem.${name}.slot.0`, `sem.${name}.ticket.x`];
    const ours = async (remove: boolean) =>
      (await operator.repair({ remove }))
        .filter(({ key }) => keys.includes(key))
        .sort((a, b) => (a.key < b.key ? -1 : 1));
    for (const removed of [false, true])
      expect(await ours(removed)).toMatchObject(
        keys.map((key) => ({ key, removed, reason: expect.stringContaining('Nats-Sequence') })),
      );
    expect(await ours(false)).toEqual([]);
    expect(await (await worker.semaphore(name).acquire({ timeout: 5_000 })).release()).toBe(true);
  });

  it('neither role publishes advisories or announcements; who has no roles needs the token', async () => {
    const held = await worker.semaphore(name).acquire({ timeout: 5_000 });
    const before = violations(server).length;
    for (const role of ['worker', 'observer'] as const) {
      const connection = await raw(role);
      for (const to of [
        '$JS.EVENT.ADVISORY.STREAM.DELETED.KV_SEMAPHORES',
        `$SEMAPHORE.SEMAPHORES.x.sem.${name}.limit`,
      ])
        connection.publish(to, '{"v":1,"slots":5}');
      await connection.flush();
    }
    expect(violations(server).length).toBe(before + 4);
    expect(held.isHeld).toBe(true);
    expect(await other.semaphore(name).tryAcquire()).toBeNull();
    expect(await held.release()).toBe(true);
  });

  it('an observer that has answers sent to the announcements changes nothing that others believe', async () => {
    const held = await worker.semaphore(name).acquire({ timeout: 5_000 });
    const waiting = other.semaphore(name).acquire({ timeout: 20_000 });
    const observer = await raw('observer');
    const info = (await observer.request('$JS.API.STREAM.INFO.KV_SEMAPHORES')).json<{
      config: { republish: { dest: string } };
    }>();
    const prefix = info.config.republish.dest.slice(0, -1);
    await operator.semaphore(`${name}b`).setPermits(5);
    for (const part of ['limit', 'slot.0'])
      observer.publish(
        '$JS.API.DIRECT.GET.KV_SEMAPHORES',
        JSON.stringify({ last_by_subj: subject('limit', `${name}b`) }),
        { reply: `${prefix}sem.${name}.${part}` },
      );
    await observer.flush();
    const fresh = await dispatcher('worker');
    expect(await fresh.semaphore(name).tryAcquire()).toBeNull();
    expect(await other.semaphore(name).status()).toMatchObject({ slots: 1, available: 0, corrupt: [] });
    expect(held.isHeld).toBe(true);
    expect(await held.release()).toBe(true);
    expect(await (await waiting).release()).toBe(true);
  });
});

it('a false word that the bucket was deleted, by a client without roles, costs nobody a permit; nor do guesses of the token', async () => {
  await using open = await TestServer.start();
  await using dispatcher = await NatsDispatcher.connect({ servers: open.url });
  const held = await dispatcher.semaphore('s', 1).acquire({ timeout: 5_000 });
  const attacker = await connect3({ servers: open.url });
  for (const kind of ['DELETED', 'UPDATED'])
    attacker.publish(`$JS.EVENT.ADVISORY.STREAM.${kind}.KV_SEMAPHORES`, '{}');
  attacker.publish(`$SEMAPHORE.SEMAPHORES.${'x'.repeat(16)}.sem.s.limit`, '{"v":1,"slots":5}');
  attacker.publish('$SEMAPHORE.SEMAPHORES.sem.s.limit', '{"v":1,"slots":5}');
  await attacker.flush();
  await held.renew();
  expect(held.isHeld).toBe(true);
  expect(await dispatcher.semaphore('s', 1).tryAcquire()).toBeNull();
  expect(await held.release()).toBe(true);
  await attacker.close();
});

describe('headers on which the server acts', () => {
  const TICKET_OF_B = '$KV.SEMAPHORES.sem.b.ticket.x';
  let own: TestServer;
  let operator: NatsDispatcher;
  let worker: NatsDispatcher;
  let attacker: Connection3;

  beforeEach(async () => {
    const dir = scratchDirectory();
    const single = relative(dir.path, join(__dirname, '..', '..', 'docker', 'single.conf'));
    // This worker may write to the semaphore b alone.
    const confined = readFileSync(ROLES_FILE, 'utf8').replace(
      /^ {4}\{ user: worker.*$/m,
      (line) => `${line}
    { user: confined, password: pw, permissions: {
      publish: ["$JS.API.STREAM.INFO.KV_SEMAPHORES", "$KV.SEMAPHORES.sem.b.slot.*", "$KV.SEMAPHORES.sem.b.ticket.*"]
      subscribe: ["_INBOX_CONFINED.>"] } }`,
    );
    own = await TestServer.start({
      config: dir.write('roles.conf', `include "${single}"\n${confined}`),
      env,
    });
    operator = new NatsDispatcher(await connect3({ ...login('operator'), servers: own.url }));
    worker = new NatsDispatcher(await connect3({ ...login('worker'), servers: own.url }));
    attacker = await connect3({
      servers: own.url,
      user: 'confined',
      pass: 'pw',
      inboxPrefix: '_INBOX_CONFINED',
    });
    for (const name of ['a', 'b']) await operator.semaphore(name).setPermits(1);
  });
  afterEach(async () => {
    await attacker.close();
    await worker.close();
    await operator.close();
    await own.stop();
  });

  interface Answer {
    readonly seq?: number;
    readonly duplicate?: boolean;
    readonly error?: { readonly err_code: number };
  }
  async function write(to: string, given: Readonly<Record<string, string>>, value = '{}'): Promise<Answer> {
    const added = headers();
    for (const [name, text] of Object.entries(given)) added.set(name, text);
    return (await attacker.request(to, value, { headers: added, timeout: 5_000 })).json<Answer>();
  }

  it('are refused where the settings of the bucket leave them out: schedules, counters', async () => {
    const at = new Date(Date.now() + 1_000).toISOString().replace(/\.\d+/, '');
    const schedule = { 'Nats-Schedule': `@at ${at}`, 'Nats-Schedule-Target': '$KV.SEMAPHORES.sem.a.limit' };
    expect((await write(TICKET_OF_B, schedule)).error?.err_code).toBe(10188);
    expect((await write(TICKET_OF_B, { 'Nats-Incr': '1' })).error?.err_code).toBe(10168);
  });

  it('that trace a message reach no subject that the user may not publish to', async () => {
    const before = violations(own).length;
    for (const only of ['true', 'false']) {
      const added = headers();
      added.set('Nats-Trace-Dest', '$KV.SEMAPHORES.sem.a.limit');
      added.set('Nats-Trace-Only', only);
      attacker.publish(TICKET_OF_B, '{}', { headers: added });
    }
    await attacker.flush();
    expect(violations(own).length).toBe(before + 2);
    expect(await operator.semaphore('a').status()).toMatchObject({ slots: 1, corrupt: [] });
  });

  it('`Nats-Msg-Id` swallows the writes of those who use it, which no client of the protocol does', async () => {
    const first = await write(TICKET_OF_B, { 'Nats-Msg-Id': 'x' });
    expect(await write(TICKET_OF_B, { 'Nats-Msg-Id': 'x' })).toMatchObject({
      seq: first.seq,
      duplicate: true,
    });
    const permit = await worker.semaphore('a').acquire({ timeout: 5_000 });
    expect(await permit.release()).toBe(true);
  });

  it('`Nats-TTL: never` on a ticket stands in the way of nobody', async () => {
    const since = new Date().toISOString();
    const ticket = JSON.stringify({ ...TICKET, since });
    expect(await write(TICKET_OF_B, { 'Nats-TTL': 'never' }, ticket)).toMatchObject({
      seq: expect.any(Number),
    });
    const fair = worker.semaphore('b', undefined, { fair: true });
    const permit = await fair.acquire({ timeout: 60_000 });
    expect(await permit.release()).toBe(true);
  });

  // What remains: the server has no setting against it that leaves expiry markers.
  it('`Nats-Rollup: all`, from any user who may write one key, removes the whole bucket', async () => {
    const held = await worker.semaphore('a').acquire({ timeout: 5_000 });
    const alone = await worker.mutex('m').acquire({ ttl: 120_000, timeout: 5_000 });
    expect((await write(TICKET_OF_B, { 'Nats-Rollup': 'all' })).error).toBeUndefined();
    const keys = await attacker.request('$JS.API.STREAM.INFO.KV_SEMAPHORES', '{"subjects_filter":">"}');
    expect(keys.json<{ state: { subjects: object } }>().state.subjects).toEqual({ [TICKET_OF_B]: 1 });
    // A holder hears of it from the next claim of its slot, or from its next renewal. Tokens go on growing.
    expect(alone.isHeld).toBe(true);
    const second = await operator.mutex('m').acquire({ timeout: 5_000 });
    await eventually(() => expect(alone.isHeld).toBe(false));
    expect(second.fencingToken > alone.fencingToken).toBe(true);
    expect(await second.release()).toBe(true);
    await expect(held.renew()).rejects.toMatchObject({ code: 'PERMIT_LOST' });
    await expect(worker.semaphore('a').acquire({ timeout: 5_000 })).rejects.toMatchObject({
      code: 'PERMISSION_DENIED',
    });
    await operator.semaphore('a').setPermits(1);
    const next = await worker.semaphore('a').acquire({ timeout: 5_000 });
    expect(next.fencingToken > held.fencingToken).toBe(true);
    expect(await next.release()).toBe(true);
  });

  it('the setting that allows rollups can not be taken from a bucket with expiry markers', async () => {
    const raw = await connect3({ ...login('operator'), servers: own.url });
    const ask = async (verb: string, body: object) =>
      (await raw.request(`$JS.API.STREAM.${verb}.KV_SEMAPHORES`, JSON.stringify(body))).json<{
        config: Record<string, unknown>;
        error?: { err_code: number };
      }>();
    const { config } = await ask('INFO', {});
    const off = await ask('UPDATE', { ...config, allow_rollup_hdrs: false });
    expect(off.config.allow_rollup_hdrs).toBe(true);
    expect((await ask('UPDATE', { ...config, deny_purge: true })).error?.err_code).toBe(10052);
    await raw.close();
  });
});

describe('what remains, and docs/security.md says', () => {
  it('E1: a worker can fill a slot; E6: it can be first in the queue', async () => {
    const [operator, worker] = await Promise.all(
      (['operator', 'worker'] as const).map(async (role) => new NatsDispatcher(await raw(role))),
    );
    for (const name of ['full', 'queue']) await operator!.semaphore(name).setPermits(1);
    const attacker = await raw('worker');
    const since = new Date().toISOString();
    const hold = { v: 1, permit: 'p', holder: 'h', since, ttl: 60_000 };
    attacker.publish('$KV.SEMAPHORES.sem.full.slot.0', JSON.stringify(hold));
    await attacker.flush();
    expect(await worker!.semaphore('full').tryAcquire()).toBeNull();

    const fair = worker!.semaphore('queue', undefined, { fair: true });
    const held = await fair.acquire({ timeout: 5_000 });
    const waiting = fair.acquire({ timeout: 60_000, metadata: { who: 'first' } });
    await eventually(async () => expect((await fair.status()).waiters).toHaveLength(1));
    attacker.publish(
      '$KV.SEMAPHORES.sem.queue.ticket.x',
      JSON.stringify({ ...TICKET, since, holder: 'jumper', token: 1 }),
    );
    await attacker.flush();
    await eventually(async () =>
      expect((await fair.status()).waiters.map(({ holder }) => holder)).toEqual([
        'jumper',
        expect.anything(),
      ]),
    );
    await held.release();
    expect(await (await waiting).release()).toBe(true);
    await operator!.close();
    await worker!.close();
  });

  it('E4: a marker that an observer copies over a slot goes after 1 s, and the slot is free; its holder has heard', async () => {
    const [worker, operator] = await Promise.all(
      (['worker', 'operator'] as const).map(async (role) => new NatsDispatcher(await raw(role))),
    );
    await operator!.semaphore('copied').setPermits(1);
    const held = await worker!.semaphore('copied').acquire({ ttl: 120_000, timeout: 5_000 });
    const attacker = await raw('worker');
    const observer = await raw('observer');
    const expired = '$KV.SEMAPHORES.sem.copied.ticket.e';
    const added = headers();
    added.set('Nats-TTL', '1s');
    attacker.publish(expired, '{}', { headers: added });
    await eventually(async () => {
      const query = JSON.stringify({ last_by_subj: expired });
      const answer = await observer.request('$JS.API.DIRECT.GET.KV_SEMAPHORES', query);
      expect(answer.headers?.get('Nats-Marker-Reason')).toBe('MaxAge');
      observer.publish('$JS.API.DIRECT.GET.KV_SEMAPHORES', query, {
        reply: '$KV.SEMAPHORES.sem.copied.slot.0',
      });
    });
    const other = new NatsDispatcher(await raw('worker'));
    // Until then the copy counts as taken, and an acquire says so.
    const refused = other.semaphore('copied').tryAcquire();
    await expect(refused).rejects.toMatchObject({ code: 'CORRUPT_ENTRY' });
    // A connected holder hears of the copy by its announcement.
    await eventually(() => expect(held.isHeld).toBe(false));
    let next: Permit | null = null;
    await eventually(async () => {
      next = await other.semaphore('copied').tryAcquire();
      expect(next).not.toBeNull();
    });
    const { fencingToken } = next as unknown as Permit;
    expect(fencingToken > held.fencingToken).toBe(true);
    await expect(held.renew()).rejects.toMatchObject({ code: 'PERMIT_LOST' });
    expect(await (next as unknown as Permit).release()).toBe(true);
    for (const each of [other, worker!, operator!]) await each.close();
  });

  it.each([
    ['by reading the stream info', 'info'],
    ['by subscribing', 'subscribe'],
  ])('E5: without roles, the token is found %s, and a forged limit is believed', async (_, way) => {
    await using open = await TestServer.start();
    await using dispatcher = await NatsDispatcher.connect({ servers: open.url });
    const held = await dispatcher.semaphore('s', 1).acquire({ timeout: 5_000 });
    const attacker = await connect3({ servers: open.url });
    let subject = '';
    if (way === 'info') {
      const info = await attacker.request('$JS.API.STREAM.INFO.KV_SEMAPHORES');
      const { republish } = info.json<{ config: { republish: { dest: string } } }>().config;
      subject = republish.dest.replace(/>$/, 'sem.s.limit');
    } else {
      attacker.subscribe('$SEMAPHORE.>', { callback: (_error, message) => void (subject = message.subject) });
      await attacker.flush();
      await held.renew();
      await eventually(() => expect(subject).not.toBe(''));
      subject = subject.replace(/sem\.s\..*$/, 'sem.s.limit');
    }
    const { state } = (await attacker.request('$JS.API.STREAM.INFO.KV_SEMAPHORES')).json<{
      state: { last_seq: number };
    }>();
    const added = headers();
    added.set('Nats-Subject', '$KV.SEMAPHORES.sem.s.limit');
    added.set('Nats-Stream', 'KV_SEMAPHORES');
    added.set('Nats-Sequence', String(state.last_seq + 1));
    added.set('Nats-Time-Stamp', new Date().toISOString());
    added.set('Nats-Last-Sequence', '0');
    attacker.publish(subject, '{"v":1,"slots":5}', { headers: added });
    await attacker.flush();
    await eventually(async () => {
      const second = await dispatcher.semaphore('s').tryAcquire();
      expect(second).not.toBeNull();
    });
    await attacker.close();
  });
});

it('an account that imports reads alone looks at everything, and has no answer stored', async () => {
  const dir = scratchDirectory();
  const single = relative(dir.path, join(__dirname, '..', '..', 'docker', 'single.conf'));
  const reads = ['DIRECT.GET', 'STREAM.MSG.GET', 'STREAM.INFO'];
  const api = (read: string) => `$JS.API.${read}.KV_SEMAPHORES`;
  const exports = reads.map(
    (read) => `{ service: "${api(read)}"${read === 'DIRECT.GET' ? ', response_type: stream' : ''} }`,
  );
  const imports = reads.map(
    (read) => `{ service: { account: LOCKS, subject: "${api(read)}" }, to: "locks.${read}.KV_SEMAPHORES" }`,
  );
  const heard = ['$SEMAPHORE.SEMAPHORES.>', '$JS.EVENT.ADVISORY.STREAM.*.KV_SEMAPHORES'];
  const text = `include "${single}"
accounts {
  LOCKS: { jetstream: enabled, users: [{ user: locks, password: pw }]
    exports: [ ${[...exports, ...heard.map((subject) => `{ stream: "${subject}" }`)].join('\n')} ] }
  LOOK: { users: [{ user: look, password: pw }]
    imports: [ ${[...imports, ...heard.map((subject) => `{ stream: { account: LOCKS, subject: "${subject}" } }`)].join('\n')} ] }
}`;
  await using own = await TestServer.start({ config: dir.write('accounts.conf', text) });
  const as = (user: string) => ({ servers: own.url, user, pass: 'pw' });
  await using inside = await NatsDispatcher.connect(as('locks'));
  await using look = await NatsDispatcher.connect({ ...as('look'), apiPrefix: 'locks' });
  const held = await inside.semaphore('a', 1).acquire({ timeout: 5_000 });
  expect((await look.list()).map(({ name }) => name)).toEqual(['a']);
  expect(await look.semaphore('a').status()).toMatchObject({ slots: 1, available: 0, corrupt: [] });
  await expect(look.semaphore('b', 1).acquire({ timeout: 2_000 })).rejects.toThrow();
  const attacker = await connect3(as('look'));
  for (const read of reads)
    for (const reply of ['$KV.SEMAPHORES.sem.c.limit', '$KV.SEMAPHORES.sem.a.slot.0'])
      attacker.publish(`locks.${read}.KV_SEMAPHORES`, '{"last_by_subj":"$KV.SEMAPHORES.sem.a.limit"}', {
        reply,
      });
  attacker.publish('$JS.EVENT.ADVISORY.STREAM.DELETED.KV_SEMAPHORES', '{}');
  attacker.publish('$KV.SEMAPHORES.sem.c.limit', '{"v":1,"slots":5}');
  await attacker.flush();
  await held.renew();
  expect((await inside.list()).map(({ name }) => name)).toEqual(['a']);
  expect(await inside.semaphore('a').status()).toMatchObject({ slots: 1, available: 0, corrupt: [] });
  expect(await held.release()).toBe(true);
  await attacker.close();
});

it('the denial of docs/security.md for setups without roles keeps forged announcements out', async () => {
  const page = readFileSync(join(__dirname, '..', '..', 'docs', 'security.md'), 'utf8');
  const [, denial] = /```text\nauthorization \{\n([^]*?)\n\}\n```/.exec(page) ?? [];
  const dir = scratchDirectory();
  const single = relative(dir.path, join(__dirname, '..', '..', 'docker', 'single.conf'));
  const text = `include "${single}"\nauthorization {\n${denial}\n}`;
  await using own = await TestServer.start({ config: dir.write('denial.conf', text) });
  const as = { servers: own.url, user: 'app', pass: 'pw' };
  await using dispatcher = await NatsDispatcher.connect(as);
  const held = await dispatcher.semaphore('s', 1).acquire({ timeout: 5_000 });
  const attacker = await connect3(as);
  const before = violations(own).length;
  for (const to of ['$SEMAPHORE.SEMAPHORES.x.sem.s.limit', '$JS.EVENT.ADVISORY.STREAM.DELETED.KV_SEMAPHORES'])
    attacker.publish(to, '{"v":1,"slots":5}');
  await attacker.flush();
  expect(violations(own).length).toBe(before + 2);
  expect(await held.release()).toBe(true);
  await attacker.close();
});
