/** The server refuses the login for a while, as when a secret is rotated or a bad configuration is loaded. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { nkeys } from '@nats-io/nats-core';
import { connect as connect3, nkeyAuthenticator } from '@nats-io/transport-node';
import { connect as connect2 } from 'nats';
import { NatsDispatcher, type Permit, getDefaultLockManager, getOrCreateLock } from '../../src';
import { startSidecar } from '../../src/sidecar';
import { useCli } from '../support/cli';
import { eventually } from '../support/eventually';
import { GuardedServer, onlyUser } from '../support/guarded-server';
import { scratchDirectory } from '../support/scratch';
import { SidecarClient } from '../support/sidecar-client';

const OPEN = onlyUser('app', 'right');
const SHUT = onlyUser('app', 'changed');
const LOGIN = { user: 'app', pass: 'right' };

const cli = useCli();
let server: GuardedServer;

beforeEach(async () => {
  server = await GuardedServer.start(OPEN);
});

afterEach(async () => {
  await getDefaultLockManager().close();
  getDefaultLockManager().configure({});
  await server.server.stop();
});

/** Not a wait for something to happen: that is how long the server refuses. */
async function refuseFor(ms: number): Promise<void> {
  await server.reload(SHUT);
  await sleep(ms);
  await server.reload(OPEN);
}

/** What a dispatcher says of its connection. */
function storyOf(dispatcher: NatsDispatcher): string[] {
  const told: string[] = [];
  dispatcher.on('disconnected', ({ cause }) => told.push(`disconnected ${cause.message}`));
  dispatcher.on('loginRefused', ({ error }) => told.push(`loginRefused ${error.message}`));
  dispatcher.on('reconnected', ({ afterMs }) => told.push(`reconnected ${afterMs > 0}`));
  dispatcher.on('connectionClosed', ({ cause }) => told.push(`closed ${cause.message}`));
  return told;
}

describe.each([2_000, 10_000])('a login that is refused for %d ms', (ms) => {
  it('ends nothing: dispatcher, lock manager, sidecar and commands go on', async () => {
    await using dispatcher = await NatsDispatcher.connect({ servers: server.url, ...LOGIN });
    const told = storyOf(dispatcher);
    getDefaultLockManager().configure({ servers: server.urlWith('app:right') });
    await using sidecar = await startSidecar({
      connect: { servers: server.url, ...LOGIN },
      port: 0,
      drainTimeout: 0,
    });
    const http = new SidecarClient(sidecar.url);
    const env = { NATS_URL: server.urlWith('app:right') };
    const file = join(scratchDirectory().path, 'done');
    const holding = cli().start(
      [
        'run',
        'held',
        '--',
        'sh',
        '-c',
        `echo holds; while [ ! -e ${file} ]; do sleep 0.1; done; echo went on`,
      ],
      { env },
    );
    await holding.said('holds');
    const waiting = cli().start(['run', 'held', '--fair', '--', 'echo', 'waited'], { env });

    const held = dispatcher.semaphore('held');
    await eventually(async () => expect((await held.status()).waiters).toHaveLength(1));
    const permit = await dispatcher.mutex('long').lock(5_000);
    const short = await dispatcher.mutex('short', { ttl: 1_000 }).lock(5_000);
    const managed = await getOrCreateLock('managed', 'nats').lock(5_000);
    const { body } = await http.post<{ id: string }>('/v1/mutexes/http/permits', { ttl: 60_000 });
    const waiter = dispatcher.semaphore('s', 1).lock({ timeout: 60_000 });
    await (await waiter).release();

    await refuseFor(ms);

    // Everybody acquires again, and whose ttl has not ended holds on.
    await (await dispatcher.mutex('again').lock(10_000)).release();
    await (await getOrCreateLock('managed too', 'nats').lock(10_000)).release();
    await eventually(async () => expect((await http.get('/readyz')).status).toBe(200));
    expect((await http.get('/healthz')).status).toBe(200);
    expect((await http.post('/v1/mutexes/http%20too/permits', { timeout: 10_000 })).status).toBe(201);
    expect((await http.get(`/v1/permits/${body.id}`)).status).toBe(200);
    expect([permit.isHeld, managed.isHeld, short.isHeld]).toEqual([true, true, false]);
    expect([await permit.release(), await managed.release()]).toEqual([true, true]);
    expect(told.map((line) => line.split(' ')[0])).toEqual(['disconnected', 'loginRefused', 'reconnected']);
    expect(told[1]).toMatch(/authorization violation/i);

    expect([holding.isOver, waiting.stdout]).toEqual([false, '']);
    writeFileSync(file, '');
    expect(await holding.ended).toMatchObject({ code: 0, stdout: 'holds\nwent on\n', stderr: '' });
    expect(await waiting.ended).toMatchObject({ code: 0, stdout: 'waited\n', stderr: '' });
  });
});

describe('a file of credentials', () => {
  it('that is gone or unreadable at a reconnect is read again until it is right: by dispatcher, lock manager, sidecar, commands', async () => {
    const [old, renewed] = [nkeys.createUser(), nkeys.createUser()];
    const only = (key: typeof old): string => `authorization { users: [{ nkey: ${key.getPublicKey()} }] }`;
    await using guarded = await GuardedServer.start(only(old));
    const scratch = scratchDirectory();
    const file = scratch.write('user.nk', old.getSeed());
    const authenticator = nkeyAuthenticator(() => readFileSync(file));
    await using dispatcher = await NatsDispatcher.connect({ servers: guarded.url, authenticator });
    const told = storyOf(dispatcher);
    getDefaultLockManager().configure({ servers: guarded.url, authenticator });
    await using sidecar = await startSidecar({
      connect: { servers: guarded.url, authenticator },
      port: 0,
      drainTimeout: 0,
    });
    const http = new SidecarClient(sidecar.url);
    const holding = cli().start(['run', 'held', '--nkey', file, '--', 'sh', '-c', 'echo holds; sleep 60'], {
      env: { NATS_URL: guarded.url },
    });
    await holding.said('holds');
    const waiting = cli().start(['run', 'held', '--fair', '--nkey', file, '--', 'echo', 'waited'], {
      env: { NATS_URL: guarded.url },
    });
    const held = dispatcher.semaphore('held');
    await eventually(async () => expect((await held.status()).waiters).toHaveLength(1));
    const permit = await dispatcher.mutex('m').lock(5_000);
    const managed = await getOrCreateLock('managed', 'nats').lock(5_000);
    const { body } = await http.post<{ id: string }>('/v1/mutexes/http/permits', { ttl: 60_000 });
    // The server knows the new key already; the file is written over it in three steps, too late.
    await guarded.reload(only(renewed));
    await eventually(() => expect(told.some((line) => line.startsWith('loginRefused'))).toBe(true));
    rmSync(file);
    await sleep(600);
    scratch.write('user.nk', 'SU');
    await sleep(600);
    scratch.write('user.nk', renewed.getSeed());
    await (await dispatcher.mutex('n').lock(10_000)).release();
    await (await getOrCreateLock('managed too', 'nats').lock(10_000)).release();
    await eventually(async () => expect((await http.get('/readyz')).status).toBe(200));
    expect((await http.post('/v1/mutexes/http%20too/permits', { timeout: 10_000 })).status).toBe(201);
    expect((await http.get(`/v1/permits/${body.id}`)).status).toBe(200);
    expect([await permit.release(), await managed.release()]).toEqual([true, true]);
    expect(told.map((line) => line.split(' ')[0])).toEqual(['disconnected', 'loginRefused', 'reconnected']);
    expect([holding.isOver, waiting.stdout, await held.isLocked()]).toEqual([false, '', true]);
    holding.kill('SIGTERM');
    expect((await holding.ended).stderr).toBe('');
    expect(await waiting.ended).toMatchObject({ code: 0, stdout: 'waited\n', stderr: '' });
    await getDefaultLockManager().close();
  });

  it('that can not be read at first is an error at once', async () => {
    const authenticator = nkeyAuthenticator(() => readFileSync('/does/not/exist'));
    await expect(NatsDispatcher.connect({ servers: server.url, authenticator })).rejects.toMatchObject({
      code: 'PERMISSION_DENIED',
      message: expect.stringMatching(/credentials can not be used: ENOENT/),
    });
  });
});

it('a connection that is one too many for the server comes back when there is room', async () => {
  const open = () => NatsDispatcher.connect({ servers: server.url, ...LOGIN });
  await using one = await open();
  await using two = await open();
  const stories = [storyOf(one), storyOf(two)];
  await server.reload(`${OPEN}\nmax_connections: 1`);
  await eventually(() => expect(stories.flat().length).toBeGreaterThan(0));
  // It tries to come back, and is turned away: that is in the server's log once for the reload, and once for each attempt.
  const refusals = (): number =>
    readFileSync(server.server.logFile, 'utf8').match(/maximum connections exceeded/gi)?.length ?? 0;
  await eventually(() => expect(refusals()).toBeGreaterThan(1), 20_000);
  await server.reload(OPEN);
  for (const dispatcher of [one, two]) await (await dispatcher.mutex('m').lock(20_000)).release();
  expect([one.connectionState, two.connectionState]).toEqual(['connected', 'connected']);
});

describe.each(['2.x', '3.x'] as const)("a caller's connection of %s that gives up", (client) => {
  const open = () =>
    client === '2.x'
      ? connect2({ servers: server.url, reconnectTimeWait: 100, ...LOGIN })
      : connect3({ servers: server.url, reconnectTimeWait: 100, ...LOGIN });

  it('makes every operation say so, and is told of', async () => {
    await using dispatcher = new NatsDispatcher(await open());
    const told = storyOf(dispatcher);
    const permit = await dispatcher.mutex('m', { ttl: 2_000 }).lock(5_000);
    const waiting = dispatcher
      .mutex('m')
      .lock()
      .catch((error: unknown) => error);
    await server.reload(SHUT);
    await eventually(() => expect(dispatcher.connectionState).toBe('closed'));
    const closed = {
      code: 'BACKEND_UNAVAILABLE',
      message: expect.stringMatching(/closed for good: .*violation/i),
    };
    expect(await waiting).toMatchObject(closed);
    for (const what of [
      () => dispatcher.ready(),
      () => dispatcher.mutex('m').lock(),
      () => dispatcher.mutex('n').tryAcquire(),
      () => dispatcher.semaphore('s', 2).acquire({ count: 2 }),
      () => dispatcher.semaphore('s').status(),
      () => dispatcher.semaphore('s').setPermits(3),
      () => dispatcher.latch('l').wait(),
      () => dispatcher.readLock('r'),
      () => dispatcher.list(),
    ])
      await expect(what()).rejects.toMatchObject(closed);
    expect(told.at(-1)).toMatch(/^closed the connection to NATS is closed for good: .*violation/i);
    await eventually(() => expect(permit.isHeld).toBe(false));
  });

  it('is an outage that does not end, with onUnavailable: "local"', async () => {
    await using dispatcher = new NatsDispatcher(await open(), { onUnavailable: 'local' });
    const told: string[] = [];
    dispatcher.on('degraded', ({ cause }) => told.push(cause.message));
    dispatcher.on('connectionClosed', () => undefined);
    await dispatcher.ready();
    const held = await dispatcher.mutex('m').lock(5_000);
    const waiting = dispatcher.mutex('m').lock();
    await server.reload(SHUT);
    const local = await waiting;
    expect(local.fencingToken).toBeLessThan(held.fencingToken);
    expect(await dispatcher.mutex('m').tryAcquire()).toBeNull();
    await local.release();
    await (await dispatcher.mutex('fresh').lock()).release();
    expect([told.length, dispatcher.isDegraded]).toEqual([1, true]);
    expect(told[0]).toMatch(/closed for good/);
  });

  it('fails the health of a sidecar that serves it', async () => {
    const dispatcher = new NatsDispatcher(await open());
    dispatcher.on('connectionClosed', () => undefined);
    await using sidecar = await startSidecar({ dispatcher, port: 0, drainTimeout: 0 });
    const http = new SidecarClient(sidecar.url);
    expect((await http.get('/healthz')).status).toBe(200);
    await server.reload(SHUT);
    await eventually(async () => {
      expect(await http.get('/healthz')).toMatchObject({
        status: 503,
        body: { code: 'BACKEND_UNAVAILABLE' },
      });
    });
    expect((await http.get('/readyz')).status).toBe(503);
    await dispatcher.close();
  });
});

it('makes /healthz fail after `unhealthyAfter`, and pass again when the connection is back', async () => {
  await using sidecar = await startSidecar({
    connect: { servers: server.url, ...LOGIN },
    port: 0,
    drainTimeout: 0,
    unhealthyAfter: 1_000,
  });
  const http = new SidecarClient(sidecar.url);
  await server.reload(SHUT);
  await eventually(async () => expect((await http.get('/readyz')).status).toBe(503));
  await eventually(async () => expect((await http.get('/healthz')).status).toBe(503));
  expect((await http.get<{ detail: string }>('/healthz')).body.detail).toMatch(/violation/i);
  await server.reload(OPEN);
  await eventually(async () => expect((await http.get('/healthz')).status).toBe(200));
});

describe('the default lock manager', () => {
  it('makes a new connection when its own was closed for good', async () => {
    const manager = getDefaultLockManager();
    const told: string[] = [];
    const stop = manager.on('connectionClosed', ({ cause }) => told.push(cause.message));
    manager.configure({ servers: server.url, maxReconnectAttempts: 2, ...LOGIN });
    const lock = getOrCreateLock('config', 'nats');
    const before: Permit = await lock.lock(5_000);
    await server.server.kill();
    await eventually(() => expect(told).toHaveLength(1));
    await expect(lock.lock(200)).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    await server.server.restart();
    expect([before.isHeld, await lock.tryAcquire()]).toEqual([true, null]);
    await (await getOrCreateLock('other', 'nats').lock(10_000)).release();
    stop();
  });

  it('leaves the connection that it was given alone, says that it is closed, and takes another', async () => {
    const manager = getDefaultLockManager();
    const [one, two] = [
      await connect3({ servers: server.url, ...LOGIN }),
      await connect3({ servers: server.url, ...LOGIN }),
    ];
    manager.configure({ connection: one });
    const lock = getOrCreateLock('config', 'nats');
    await (await lock.lock(5_000)).release();
    await one.close();
    await expect(lock.lock()).rejects.toThrow(/closed for good/);
    manager.configure({ connection: two });
    await (await lock.lock(5_000)).release();
    await manager.close();
    await two.close();
  });
});
