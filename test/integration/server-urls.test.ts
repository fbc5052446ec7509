/** Logins in server URLs: used, never shown; and what a server refuses at connect. */
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { nkeys } from '@nats-io/nats-core';
import { credsAuthenticator, nkeyAuthenticator } from '@nats-io/transport-node';
import { NatsDispatcher, createLock, getDefaultLockManager } from '../../src';
import { startSidecar } from '../../src/sidecar';
import { TestServer } from '../../src/testing';
import { Certificates } from '../support/certificates';
import { useCli } from '../support/cli';
import { eventually } from '../support/eventually';
import { GuardedServer, onlyUser } from '../support/guarded-server';
import { shown } from '../support/shown';
import { SidecarClient } from '../support/sidecar-client';

/** A password in which all that separates the parts of a URL occurs. */
const PASSWORD = 'S3cr3t:/@?#,% x';
const ENCODED = encodeURIComponent(PASSWORD);
const USER = onlyUser('app@home', PASSWORD);
const LOGIN = `app%40home:${ENCODED}`;
const TOKEN = `authorization { token: ${JSON.stringify(PASSWORD)} }`;

const cli = useCli();
const before = process.env.NATS_URL;
const manager = getDefaultLockManager();

beforeEach(() => {
  delete process.env.NATS_URL;
});

afterEach(async () => {
  await manager.close();
  manager.configure({});
});

afterAll(() => {
  if (before === undefined) delete process.env.NATS_URL;
  else process.env.NATS_URL = before;
});

async function errorOf(what: () => unknown): Promise<Error & { code?: string }> {
  try {
    await what();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

describe.each([
  ['user and password', USER, LOGIN],
  ['a token', TOKEN, ENCODED],
])('%s in the URL', (_, rules, login) => {
  let server: GuardedServer;
  beforeAll(async () => void (server = await GuardedServer.start(rules)));
  afterAll(() => server[Symbol.asyncDispose]());

  it('is the login of the library, the lock manager, the commands and the sidecar', async () => {
    const url = server.urlWith(login);
    process.env.NATS_URL = ` , ${url}`;
    await using given = await NatsDispatcher.connect({ servers: [url, '127.0.0.1:1'] });
    await (await given.mutex('m').lock(5_000)).release();
    await using found = await NatsDispatcher.connect({ servers: '' });
    await found.ready();
    await (await createLock('nats').lock(5_000)).release();
    await using sidecar = await startSidecar({ port: 0, drainTimeout: 0 });
    expect((await new SidecarClient(sidecar.url).get('/readyz')).status).toBe(200);
    for (const [args, env] of [
      [['-s', url], {}],
      [['-s', ''], { NATS_URL: url }],
      // Empty is as if it were not set.
      [[], { NATS_URL: url, NATS_USER: '', NATS_PASSWORD: '', NATS_CREDS: '', NATS_SEMAPHORE_REPLICAS: '' }],
    ] as const)
      expect(await cli().run(['list', '--json', ...args], { env })).toMatchObject({
        code: 0,
        stdout: '[]\n',
      });
  });

  it('gives way to one that is given otherwise', async () => {
    const options = { servers: server.urlWith(login), user: 'other', pass: 'other' };
    expect(await errorOf(() => NatsDispatcher.connect(options))).toMatchObject({ code: 'PERMISSION_DENIED' });
  });

  it('is shown by nothing that comes of it', async () => {
    const url = server.urlWith(login);
    await using dispatcher = await NatsDispatcher.connect({ servers: url });
    await using sidecar = await startSidecar({ connect: { servers: url }, port: 0, drainTimeout: 0 });
    const told: unknown[] = [];
    for (const event of ['disconnected', 'loginRefused', 'reconnected', 'degraded'] as const)
      dispatcher.on(event, (detail: unknown) => told.push(detail));
    manager.configure({ servers: url });
    const lock = createLock('nats');
    const http = new SidecarClient(sidecar.url);
    const permit = await dispatcher.semaphore('s', 2).lock(5_000);
    const things: unknown[] = [dispatcher, sidecar, lock, permit, manager, await permit.renew()];
    things.push(await dispatcher.list(), await dispatcher.semaphore('s').status(), await lock.status());
    for (const path of ['/v1/primitives', '/v1/semaphores/s', '/readyz', '/metrics', '/openapi.json'])
      things.push(await http.get(path));
    await server.reload(onlyUser('app', 'changed'));
    await eventually(() => expect(told.length).toBeGreaterThan(1));
    things.push(told, dispatcher.trouble);
    things.push(await errorOf(() => dispatcher.mutex('m').lock(200)));
    things.push(await errorOf(() => createLock('nats').lock(200)));
    things.push(await http.get('/readyz'), await http.post('/v1/mutexes/m/permits', { timeout: 200 }));
    for (const command of [['list'], ['status', 's'], ['run', 's', '--', 'true'], ['serve', '--port', '0']])
      for (const json of [[], ['--json']])
        things.push(await cli().run([...command, ...json], { env: { NATS_URL: url } }));
    await server.reload(rules);
    await (await dispatcher.mutex('m').lock(10_000)).release();
    for (const thing of things) {
      for (const secret of [PASSWORD, ENCODED, 'S3cr3t']) expect(shown(thing)).not.toContain(secret);
    }
  });
});

describe('a server URL that does not work', () => {
  let server: GuardedServer;
  beforeAll(async () => void (server = await GuardedServer.start(USER)));
  afterAll(() => server[Symbol.asyncDispose]());

  const secret = fc
    .string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 16 })
    .map((text) => `Wr0ng${text}`);
  type Shape = (secret: string, host: string) => string;
  const SHAPES: Shape[] = [
    (s, h) => `nats://app%40home:${s}@${h}`,
    (s, h) => `nats://${s}:${s}@${h}`,
    (s, h) => `nats://${s}@${h}`,
    (s, h) => `app:${s}@${h}`,
    (s, h) => `nats://a:${s}@[::1]:1,nats://a:${s}@${h}`,
    (s, h) => `nats://127.0.0.1:1,nats://a:${s}@${h}`,
    (s, h) => `tls://a:${s}@${h}`,
    (s, h) => `ws://a:${s}@${h}`,
    (s, h) => `wss://${s}@${h}`,
    (s, h) => `http://a:${s}@${h}`,
    (s, h) => `nats://a:${s}@${h},nats://b:${s}@${h}`,
    (s, h) => `nats://a:${s}@${h}/path`,
    (s) => `nats://a:${s}@[::1]:1`,
    (s) => `nats://a:${s}@does.not.exist.invalid`,
    (s) => `nats://a:${s}`,
  ];

  it('shows its login nowhere: not in the error, its causes or its stack', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...SHAPES), secret, fc.boolean(), async (shape, text, encode) => {
        const url = shape(encode ? encodeURIComponent(text) : text, new URL(server.url).host);
        const error = await errorOf(() => NatsDispatcher.connect({ servers: url }));
        expect(shown(error).toLowerCase()).not.toContain('wr0ng');
      }),
      { numRuns: 150 },
    );
  });

  it('shows it in nothing that the commands write', async () => {
    for (const shape of SHAPES) {
      const url = shape('Wr0ng', new URL(server.url).host);
      const { code, stderr, stdout } = await cli().run(['list', '--json'], { env: { NATS_URL: url } });
      expect([64, 69, 77, 78]).toContain(code);
      expect((stderr + stdout).toLowerCase()).not.toContain('wr0ng');
    }
  });

  it.each([
    ['a wrong password', () => ({ user: 'app@home', pass: 'x' })],
    ['a wrong password in the URL', () => ({ servers: server.urlWith('app%40home:x') })],
    ['a wrong token', () => ({ token: 'x' })],
    ['no login', () => ({})],
    ['a wrong nkey', () => ({ authenticator: nkeyAuthenticator(nkeys.createUser().getSeed()) })],
    ['credentials that are none', () => ({ authenticator: credsAuthenticator(Buffer.from('x')) })],
  ])('is a PERMISSION_DENIED: %s', async (_, options) => {
    const error = await errorOf(() => NatsDispatcher.connect({ servers: server.url, ...options() }));
    expect(error).toMatchObject({ name: 'PermissionDeniedError', code: 'PERMISSION_DENIED' });
    expect(error.message).toMatch(/refuses the login|credentials can not be used/);
    expect(error.message).toContain(server.url);
  });

  it('is refused the same way through the lock manager, the sidecar and the commands', async () => {
    const servers = server.urlWith('app%40home:x');
    manager.configure({ servers });
    const denied = { code: 'PERMISSION_DENIED' };
    await expect(createLock('nats').lock()).rejects.toMatchObject(denied);
    await expect(startSidecar({ connect: { servers }, port: 0 })).rejects.toMatchObject(denied);
    expect((await cli().run(['list', '-s', servers])).code).toBe(77);
  });

  it.each(['ws://h', 'wss://h', 'http://h', 'nats://h:0', 'nats://u:p@a,nats://u:q@b'])(
    'is a RangeError, and 64 of the commands: %s',
    async (servers) => {
      expect(await errorOf(() => NatsDispatcher.connect({ servers }))).toMatchObject({ name: 'RangeError' });
      expect((await cli().run(['list', '-s', servers])).code).toBe(64);
    },
  );
});

describe('tls://', () => {
  it('sends nothing to a server without TLS', async () => {
    const heard: Buffer[] = [];
    // A real server would not tell what it heard.
    const info = { server_id: 'x', version: '2.15.1', proto: 1, max_payload: 1_000_000, headers: true };
    const clear = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (data) => heard.push(data));
      socket.write(`INFO ${JSON.stringify(info)}\r\n`);
    });
    await new Promise<void>((resolve) => clear.listen(0, '127.0.0.1', resolve));
    const host = `127.0.0.1:${(clear.address() as AddressInfo).port}`;
    for (const servers of [`tls://app:S3cr3t@${host}`, `nats://${host},tls://app:S3cr3t@${host}`])
      expect(await errorOf(() => NatsDispatcher.connect({ servers }))).toMatchObject({
        code: 'UNSUPPORTED_SERVER',
      });
    expect(Buffer.concat(heard).toString()).toBe('');
    await new Promise((resolve) => clear.close(resolve));
  });

  it('is refused by the library and the commands where a server has no TLS', async () => {
    await using server = await TestServer.start();
    const servers = server.url.replace('nats', 'tls');
    const error = await errorOf(() => NatsDispatcher.connect({ servers }));
    expect(error).toMatchObject({ code: 'UNSUPPORTED_SERVER' });
    expect(error.message).toContain(`${servers} has no TLS`);
    expect((await cli().run(['list', '-s', servers])).code).toBe(78);
    const clear = { servers, tls: null };
    expect(await errorOf(() => NatsDispatcher.connect(clear))).toMatchObject({ name: 'TypeError' });
  });

  it('connects with TLS where there is one, and names what is missing where certificates do not fit', async () => {
    using certificates = await Certificates.make();
    const tls = 'tls { cert_file: $NATS_TLS_CERT, key_file: $NATS_TLS_KEY }';
    await using guarded = await GuardedServer.start(tls, { env: certificates.env });
    const servers = guarded.url.replace('nats', 'tls');
    await using dispatcher = await NatsDispatcher.connect({ servers, tls: { ca: certificates.ca } });
    await dispatcher.ready();
    const untrusted = await errorOf(() => NatsDispatcher.connect({ servers }));
    expect(untrusted).toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    expect(untrusted.message).toMatch(/tls\.ca/);
    const clear = { servers: guarded.url, tls: null };
    expect(await errorOf(() => NatsDispatcher.connect(clear))).toMatchObject({
      name: 'TypeError',
      message: expect.stringMatching(/^tls must not be null/),
    });
  });
});

describe('a port', () => {
  it('is one of this machine, and not given beside servers', async () => {
    await using server = await TestServer.start();
    await using dispatcher = await NatsDispatcher.connect({ port: server.port });
    await dispatcher.ready();
    expect(await errorOf(() => NatsDispatcher.connect({ port: 1, servers: 'h' }))).toMatchObject({
      name: 'TypeError',
      message: 'servers and port must not both be given',
    });
  });
});

describe('what is no connection', () => {
  const none: [string, () => unknown, RegExp][] = [
    [
      'options',
      () => ({ servers: 'nats://a:S3cr3t@h' }),
      /an object that is none.*await NatsDispatcher\.connect\(/,
    ],
    [
      'a promise of a dispatcher',
      () => NatsDispatcher.connect({ servers: '127.0.0.1:1' }),
      /a promise: await it/,
    ],
    ['a promise that fails', () => Promise.reject(new Error('later')), /a promise: await it first/],
    ['a URL', () => 'nats://a:S3cr3t@h', /a string: to connect to a server/],
    ['nothing', () => undefined, /got undefined/],
    ['null', () => null, /got null/],
  ];

  // The guard of unhandled rejections fails the test if one comes later.
  it.each(none)('is one clear TypeError at once: %s', async (_, what, message) => {
    for (const use of [
      (given: unknown) => new NatsDispatcher(given as never),
      (given: unknown) => manager.configure({ connection: given as never }),
    ]) {
      const given = what();
      if (given === undefined && use.toString().includes('configure')) continue;
      let error: unknown;
      try {
        use(given);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(TypeError);
      expect((error as Error).message).toMatch(/^connection must be an open NATS connection/);
      expect((error as Error).message).toMatch(message);
      expect(shown(error)).not.toContain('S3cr3t');
      await Promise.resolve(given).catch(() => undefined);
    }
  });

  it('nor is a promise the dispatcher of a sidecar', async () => {
    const dispatcher = NatsDispatcher.connect({ servers: '127.0.0.1:1' }) as never;
    await expect(startSidecar({ dispatcher })).rejects.toThrow(
      /^dispatcher must be .* a promise: await it first/,
    );
  });
});
