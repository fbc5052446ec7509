/**
 * The roles of `docker/roles.conf`, which `docs/operations.md` shows: each does what it should, over TLS, with nothing
 * but its permissions, and is refused the rest.
 */
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type NatsConnection as NatsConnection3,
  connect as connect3,
  credsAuthenticator,
} from '@nats-io/transport-node';
import { connect as connect2, credsAuthenticator as credsAuthenticator2 } from 'nats';
import { type DispatcherOptions, NatsDispatcher, type NatsConnection } from '../../src';
import { openConnection } from '../../src/store/nats/connect';
import { TestCluster, TestServer } from '../../src/testing';
import { Certificates } from '../support/certificates';
import { Credentials } from '../support/credentials';
import { eventually } from '../support/eventually';
import { ROLES, ROLES_FILE, type Role, inboxOf, permissionsOf, roleBlock } from '../support/roles';
import { scratchDirectory } from '../support/scratch';
import { violations } from '../support/violations';

const DOCKER = join(__dirname, '..', '..', 'docker');
const PASSWORDS = {
  NATS_OPERATOR_PASSWORD: '"operator secret"',
  NATS_WORKER_PASSWORD: '"worker secret"',
  NATS_OBSERVER_PASSWORD: '"observer secret"',
};
const DENIED = { name: 'PermissionDeniedError', code: 'PERMISSION_DENIED' };

let certificates: Certificates;
let credentials: Credentials;

beforeAll(async () => {
  certificates = await Certificates.make();
  credentials = await Credentials.make();
});

afterAll(() => {
  certificates[Symbol.dispose]();
  credentials[Symbol.dispose]();
});

const passwordServer = (): Promise<TestServer> =>
  TestServer.start({ config: join(DOCKER, 'secure.conf'), env: { ...PASSWORDS, ...certificates.env } });
const credentialsServer = (): Promise<TestServer> =>
  TestServer.start({ config: credentials.config, env: certificates.env });

/** How a role comes to a connection of its own. */
type Login = (servers: string | string[], role: Role) => Promise<NatsConnection>;

const common = (servers: string | string[], role: Role) => ({
  servers,
  inboxPrefix: inboxOf(role),
  // None of these servers goes away: a login that is refused must not be tried for ever.
  maxReconnectAttempts: 2,
});
const secure = (servers: string | string[], role: Role) => ({
  ...common(servers, role),
  tls: { ca: certificates.ca },
});
const password = (role: Role) => ({ user: role, pass: `${role} secret` });
const credsFile = (role: Role): Uint8Array => readFileSync(credentials.file(role));

const WAYS: [string, () => Promise<TestServer>, Login][] = [
  [
    'user and password',
    passwordServer,
    (servers, role) => openConnection({ ...secure(servers, role), ...password(role) }),
  ],
  [
    'user and password, a connection of nats 2.x',
    passwordServer,
    (servers, role) => connect2({ ...secure(servers, role), ...password(role) }),
  ],
  [
    'a credentials file',
    credentialsServer,
    (servers, role) =>
      connect3({ ...secure(servers, role), authenticator: credsAuthenticator(credsFile(role)) }),
  ],
  [
    'a credentials file, a connection of nats 2.x',
    credentialsServer,
    (servers, role) =>
      connect2({ ...secure(servers, role), authenticator: credsAuthenticator2(credsFile(role)) }),
  ],
];

/** The roles' dispatchers, opened as needed. */
class Crew implements AsyncDisposable {
  private readonly opened: { dispatcher: NatsDispatcher; connection: NatsConnection }[] = [];

  constructor(
    private readonly servers: string | string[],
    private readonly login: Login,
    private readonly options: DispatcherOptions = {},
  ) {}

  async dispatcher(role: Role): Promise<NatsDispatcher> {
    const connection = await this.login(this.servers, role);
    const dispatcher = new NatsDispatcher(connection, this.options);
    this.opened.push({ dispatcher, connection });
    return dispatcher;
  }

  /** Resolves when the server has dealt with everything that was sent, its log included. */
  async flush(): Promise<void> {
    for (const { connection } of this.opened) await connection.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { dispatcher, connection } of this.opened) {
      await dispatcher.close();
      await connection.close();
    }
  }
}

/** All that the three are for. */
async function doTheirWork(crew: Crew): Promise<void> {
  const operator = await crew.dispatcher('operator');
  await operator.ready();
  await operator.semaphore('reports').setPermits(2);
  await operator.semaphore('queue').setPermits(1);

  const [first, second] = [await crew.dispatcher('worker'), await crew.dispatcher('worker')];
  await first.ready();
  const observer = await crew.dispatcher('observer');
  await observer.ready();
  const reports = first.semaphore('reports', 2);
  const held = await reports.acquire({ metadata: { job: 'nightly' }, timeout: 5_000 });
  await held.renew();
  expect(await reports.availablePermits()).toBe(1);
  expect(await reports.status()).toMatchObject({ slots: 2, available: 1 });

  // Somebody waits, is woken, and takes both slots in one batch.
  const both = second.semaphore('reports', 2).acquire({ count: 2, timeout: 10_000 });
  expect(await observer.semaphore('reports').status()).toMatchObject({
    slots: 2,
    holders: [{ permitId: held.id, metadata: { job: 'nightly' } }],
  });
  expect(await observer.list()).toEqual(
    expect.arrayContaining([expect.objectContaining({ name: 'reports', slots: 2 })]),
  );
  const stop = new AbortController();
  const seen = observer.semaphore('reports').watch({ signal: stop.signal })[Symbol.asyncIterator]();
  expect((await seen.next()).value).toMatchObject({ slots: 2 });
  expect(await held.release()).toBe(true);
  const pair = await both;
  let latest: unknown;
  do latest = (await seen.next()).value;
  while ((latest as { available: number }).available > 0);
  expect(latest).toMatchObject({ holders: [{ permitId: pair.id, slots: [0, 1] }] });
  stop.abort();
  expect(await pair.release()).toBe(true);

  const mutex = (dispatcher: NatsDispatcher) => dispatcher.mutex('only', { fair: true });
  const locked = await mutex(first).lock(5_000);
  const unlocked = mutex(second).lock(10_000);
  expect(await locked.release()).toBe(true);
  expect(await (await unlocked).release()).toBe(true);

  const latched = observer.latch('all done').wait({ timeout: 10_000 });
  expect(await first.latch('all done').trySetCount(2)).toBe(true);
  expect(await first.latch('all done').countDown()).toBe(1);
  expect(await second.latch('all done').countDown()).toBe(0);
  await latched;
  expect(await observer.latch('all done').count()).toBe(0);
  await eventually(async () => expect(await second.latch('all done').trySetCount(1)).toBe(true));

  // The queue, and a hold that ends by force.
  const fair = (dispatcher: NatsDispatcher) => dispatcher.semaphore('queue', 1, { fair: true });
  const stuck = await fair(first).acquire({ timeout: 5_000 });
  const next = fair(second).acquire({ timeout: 10_000 });
  await eventually(async () => expect((await observer.semaphore('queue').status()).waiters).toHaveLength(1));
  expect(await operator.semaphore('queue').forceRelease(stuck.id)).toBe(true);
  expect(await (await next).release()).toBe(true);
  await eventually(() => expect(stuck.isHeld).toBe(false));
  await operator.semaphore('reports').setPermits(3);
  await eventually(async () => expect(await reports.availablePermits()).toBe(3));
  const wants = [{ semaphore: first.semaphore('reports') }, { semaphore: first.semaphore('queue') }];
  expect(await (await first.acquireAll(wants, { timeout: 5_000 })).release()).toBe(true);
}

describe.each(WAYS)('with %s', (_, start, login) => {
  let server: TestServer;

  beforeAll(async () => {
    server = await start();
  });

  afterAll(async () => {
    await server.stop();
  });

  it('nobody gets in without TLS, with another password, or without one', async () => {
    const plain = { servers: server.url, maxReconnectAttempts: 0, timeout: 5_000 };
    await expect(connect3({ ...plain, tls: { ca: certificates.ca } })).rejects.toThrow(/uthoriz/);
    await expect(connect3({ ...plain, tls: {} })).rejects.toThrow();
    const wrong = { user: 'worker', pass: 'wrong', tls: { ca: certificates.ca } };
    await expect(connect3({ ...plain, ...wrong })).rejects.toThrow(/uthoriz/);
  });

  it('a missing bucket is a clear error at once for who may not create it', async () => {
    for (const role of ['worker', 'observer'] as const) {
      await using crew = new Crew(server.url, login);
      const dispatcher = await crew.dispatcher(role);
      for (const what of [
        () => dispatcher.ready(),
        () => dispatcher.semaphore('reports').acquire(),
        () => dispatcher.semaphore('reports').tryAcquire(),
        () => dispatcher.semaphore('reports').status(),
        () => dispatcher.list(),
      ]) {
        const startedAt = performance.now();
        const error = await what().then(
          () => undefined,
          (reason: Error) => reason,
        );
        expect(error).toMatchObject(DENIED);
        expect(error?.message).toMatch(
          /bucket "SEMAPHORES" does not exist.*may not create it.*\$JS\.API\.STREAM\.CREATE\.KV_SEMAPHORES/,
        );
        // It did not wait for a timeout: one request of the client takes 2 s to run into it.
        expect(performance.now() - startedAt).toBeLessThan(2_000);
      }
      await crew.flush();
      const refused = violations(server).length;
      await dispatcher.ready().catch(() => undefined);
      await crew.flush();
      // One attempt is one refusal, and nothing goes on behind it.
      expect(violations(server).length).toBe(refused + 1);
    }
  });

  it('each role does what it is for, and the server has nothing against it', async () => {
    const before = violations(server);
    await using crew = new Crew(server.url, login);
    await doTheirWork(crew);
    await crew.flush();
    expect(violations(server).slice(before.length)).toEqual([]);
  });

  it('an observer changes nothing', async () => {
    await using crew = new Crew(server.url, login);
    const operator = await crew.dispatcher('operator');
    await operator.semaphore('watched').setPermits(1);
    const worker = await crew.dispatcher('worker');
    const held = await worker.semaphore('watched').acquire({ timeout: 5_000 });
    const observer = await crew.dispatcher('observer');
    const [busy, free] = [observer.semaphore('watched'), observer.semaphore('reports', 3)];
    for (const what of [
      () => free.acquire(),
      () => free.tryAcquire(),
      () => free.acquire({ count: 2 }),
      () => observer.semaphore('reports', 3, { fair: true }).acquire(),
      () => observer.acquireAll([{ semaphore: free }, { semaphore: observer.semaphore('queue') }]),
      () => observer.semaphore('watched', 1, { fair: true }).acquire(),
      () => observer.semaphore('new', 5).acquire(),
      () => busy.setPermits(9),
      () => observer.latch('new', 1).countDown(),
      () => observer.latch('new').trySetCount(1),
      () => busy.forceRelease(held.id),
    ])
      await expect(what()).rejects.toMatchObject(DENIED);
    expect(await busy.status()).toMatchObject({ slots: 1, holders: [{ permitId: held.id }], waiters: [] });
    expect(held.isHeld).toBe(true);
    expect(await held.release()).toBe(true);
  });

  it('a worker sets no limit', async () => {
    await using crew = new Crew(server.url, login);
    const worker = await crew.dispatcher('worker');
    for (const what of [
      () => worker.semaphore('reports').setPermits(9),
      () => worker.semaphore('reports').addPermits(1),
      () => worker.semaphore('reports', 9, { limitPolicy: 'set' }).acquire(),
      () => worker.semaphore('not set up').acquire(),
      () => worker.semaphore('not set up').trySetPermits(2),
    ])
      await expect(what()).rejects.toMatchObject(DENIED);
    const error = await worker
      .semaphore('not set up')
      .acquire()
      .catch((reason: Error) => reason);
    expect((error as Error).message).toContain('$KV.SEMAPHORES.sem.not=20set=20up.limit');
  });

  it.each(ROLES)('a connection of the %s reaches nothing else', async (role) => {
    // Both clients have it; the library has no use for it.
    const connection = (await login(server.url, role)) as NatsConnection & Pick<NatsConnection3, 'request'>;
    const { publish } = permissionsOf(role);
    const outside = [
      '$JS.API.STREAM.DELETE.KV_SEMAPHORES',
      '$JS.API.STREAM.PURGE.KV_SEMAPHORES',
      '$JS.API.STREAM.MSG.DELETE.KV_SEMAPHORES',
      '$JS.API.STREAM.LIST',
      '$JS.API.STREAM.CREATE.KV_OTHER',
      '$JS.API.STREAM.INFO.KV_OTHER',
      '$JS.API.CONSUMER.CREATE.KV_SEMAPHORES',
      '$JS.API.DIRECT.GET.KV_OTHER',
      '$KV.OTHER.sem.reports.slot.0',
      '$KV.SEMAPHORES.other',
      '$SEMAPHORE.SEMAPHORES.sem.reports.slot.0',
      '$JS.EVENT.ADVISORY.STREAM.DELETED.KV_SEMAPHORES',
      '$JS.EVENT.ADVISORY.STREAM.UPDATED.KV_SEMAPHORES',
      'orders',
      ...ROLES.flatMap((other) => permissionsOf(other).publish)
        .map((subject) => subject.replaceAll('*', 'x').replace('>', 'limit'))
        .filter((subject) => !publish.some((allowed) => covers(allowed, subject))),
    ];
    for (const subject of new Set(outside)) {
      const failure = connection.request(subject, new Uint8Array(), { timeout: 10_000 });
      await expect(failure).rejects.toThrow(/ermissions.violation/i);
    }
    for (const subject of ['>', '$KV.>', '$SEMAPHORE.>', '_INBOX.>', '$JS.EVENT.>']) {
      const refusal = new Promise((resolve) => {
        connection.subscribe(subject, { callback: (error: unknown) => resolve(error) });
      });
      await expect(refusal).resolves.toMatchObject({ message: expect.stringMatching(/violation/i) });
    }
    await connection.close();
  });
});

/** Whether the pattern of a permission lets a subject pass. */
function covers(pattern: string, subject: string): boolean {
  const text = pattern.replace(/[.$]/g, '\\$&').replace(/\*/g, '[^.]+').replace(/>$/, '.+');
  return new RegExp(`^${text}$`).test(subject);
}

describe('a permission that is missing', () => {
  /** A server where the worker lacks some subjects. */
  async function without(...subjects: string[]): Promise<TestServer> {
    const dir = scratchDirectory();
    const text = readFileSync(ROLES_FILE, 'utf8');
    const worker = /^ {2}WORKER = \{[\s\S]*?\n {2}\}$/m.exec(text)?.[0] ?? '';
    const lines = worker.split('\n').filter((line) => !subjects.some((subject) => line.includes(subject)));
    expect(lines.length).toBe(worker.split('\n').length - subjects.length);
    const single = relative(dir.path, join(DOCKER, 'single.conf'));
    const config = dir.write(
      'lacking.conf',
      `include "${single}"\n${text.replace(worker, lines.join('\n'))}`,
    );
    return TestServer.start({ config, env: PASSWORDS });
  }

  const lacking = WAYS[0]![0];
  it.each([
    ['"$SEMAPHORE.SEMAPHORES.>"', /Subscription to "\$SEMAPHORE\.SEMAPHORES\.[\w-]{16}\.sem/],
    ['"_INBOX_WORKER.>"', /subscription to "_INBOX_WORKER\./],
    ['STREAM.DELETED', /Subscription to "\$JS\.EVENT\.ADVISORY\.STREAM\.DELETED/],
    ['STREAM.UPDATED', /Subscription to "\$JS\.EVENT\.ADVISORY\.STREAM\.UPDATED/],
    ['STREAM.INFO', /publish to "\$JS\.API\.STREAM\.INFO\.KV_SEMAPHORES"/],
    ['DIRECT.GET', /publish to "\$JS\.API\.DIRECT\.GET\.KV_SEMAPHORES"/],
    ['*.*.slot', /publish to "\$KV\.SEMAPHORES\.sem\.reports\.slot/],
  ])(`%s: an acquire names it, at once (${lacking})`, async (subject, message) => {
    await using server = await without(subject);
    const login: Login = (servers, role) => openConnection({ ...common(servers, role), ...password(role) });
    for (const client of [login, loginOf2]) {
      await using crew = new Crew(server.url, client);
      await (await crew.dispatcher('operator')).semaphore('reports').setPermits(2);
      const worker = await crew.dispatcher('worker');
      const startedAt = performance.now();
      const error = await worker
        .semaphore('reports')
        .acquire()
        .catch((reason: Error) => reason);
      expect(error).toMatchObject(DENIED);
      expect((error as Error).message).toMatch(message);
      expect(performance.now() - startedAt).toBeLessThan(2_000);
    }
  });

  it('a worker confined to one semaphore has that one, and is refused others, also as part of a batch', async () => {
    const dir = scratchDirectory();
    const own = (part: string) => `"$KV.SEMAPHORES.sem.reports.${part}.*"`;
    const [worker, ...parts] = [roleBlock('worker', readFileSync(ROLES_FILE, 'utf8')), 'slot', 'ticket'];
    const confined = parts.reduce(
      (text, part) => text.split(`"$KV.SEMAPHORES.*.*.${part}.*"`).join(own(part)),
      worker,
    );
    expect(confined).not.toBe(worker);
    const text = readFileSync(ROLES_FILE, 'utf8').replace(
      /^ {2}WORKER = \{[\s\S]*?\n {2}\}$/m,
      () => confined,
    );
    const single = relative(dir.path, join(DOCKER, 'single.conf'));
    const config = dir.write('confined.conf', `include "${single}"\n${text}`);
    await using server = await TestServer.start({ config, env: PASSWORDS });
    const loginOf3: Login = (servers, role) =>
      openConnection({ ...common(servers, role), ...password(role) });
    for (const client of [loginOf3, loginOf2]) {
      await using crew = new Crew(server.url, client);
      const operator = await crew.dispatcher('operator');
      for (const name of ['reports', 'other']) await operator.semaphore(name).setPermits(2);
      const dispatcher = await crew.dispatcher('worker');
      const [reports, other] = [dispatcher.semaphore('reports'), dispatcher.semaphore('other')];
      expect(await (await reports.acquire({ timeout: 5_000 })).release()).toBe(true);
      await expect(other.acquire()).rejects.toMatchObject(DENIED);
      for (const wants of [
        [other, reports],
        [reports, other],
      ]) {
        const together = dispatcher.acquireAll(wants.map((semaphore) => ({ semaphore })));
        await expect(together).rejects.toMatchObject(DENIED);
      }
    }
  });

  const loginOf2: Login = (servers, role) => connect2({ ...common(servers, role), ...password(role) });
});

it('NatsDispatcher.connect passes credentials, TLS and inboxPrefix on', async () => {
  await using server = await credentialsServer();
  const open = (role: Role): Promise<NatsDispatcher> =>
    NatsDispatcher.connect({
      ...secure(server.url, role),
      authenticator: credsAuthenticator(credsFile(role)),
    });
  await using operator = await open('operator');
  await operator.semaphore('reports').setPermits(1);
  await using worker = await open('worker');
  expect(await (await worker.semaphore('reports').lock(5_000)).release()).toBe(true);
  expect(violations(server)).toEqual([]);
});

it('the roles do their work in a cluster too, in a bucket of three replicas', async () => {
  const dir = scratchDirectory();
  const includes = ['cluster', 'tls', 'roles'].map(
    (name) => `include "${relative(dir.path, join(DOCKER, `${name}.conf`))}"`,
  );
  const config = dir.write('cluster.conf', includes.join('\n'));
  const env = { ...PASSWORDS, ...certificates.env };
  await using cluster = await TestCluster.start(3, { config, env });
  await using crew = new Crew(cluster.urls, WAYS[0]![2], { replicas: 3 });
  await doTheirWork(crew);
  await crew.flush();
  expect(cluster.servers.flatMap(violations)).toEqual([]);
});

it.each(ROLES)('docs/operations.md shows the permissions of the %s as they are', (role) => {
  const page = readFileSync(join(__dirname, '..', '..', 'docs', 'operations.md'), 'utf8');
  expect(roleBlock(role, page)).toBe(roleBlock(role, readFileSync(ROLES_FILE, 'utf8')));
});
