import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Kvm } from '@nats-io/kv';
import { type NatsConnection, connect } from '@nats-io/transport-node';
import { type DispatcherOptions, NatsDispatcher, SemaphoreError } from '../../src';
import { TestServer } from '../../src/testing';
import { freePorts } from '../../src/testing/free-ports';
import { useCli } from '../support/cli';
import { eventually } from '../support/eventually';
import { GuardedServer } from '../support/guarded-server';
import { scratchDirectory } from '../support/scratch';
import { connections } from '../support/server-counts';

async function errorOf(what: () => unknown): Promise<Error & { code?: string }> {
  try {
    await what();
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** What every way of using a dispatcher says that can not open its bucket. */
async function refusals(url: string, options: DispatcherOptions = {}): Promise<SemaphoreError[]> {
  await using dispatcher = await NatsDispatcher.connect({ servers: url, ...options });
  const semaphore = dispatcher.semaphore('n');
  const errors = [
    await errorOf(() => dispatcher.ready()),
    await errorOf(() => semaphore.acquire()),
    await errorOf(() => semaphore.tryAcquire()),
    await errorOf(() => semaphore.lock(5_000, () => undefined)),
    await errorOf(() => semaphore.availablePermits()),
  ];
  for (const error of errors) expect(error).toBeInstanceOf(SemaphoreError);
  return errors as SemaphoreError[];
}

/** A server that is a leaf node of another, with an account that has JetStream at the other one only. */
async function leafNode(rules: string): Promise<{ url: string } & AsyncDisposable> {
  const users = 'users: [{ user: a, password: a }]';
  const [port] = await freePorts(1);
  const hub = scratchDirectory().write(
    'hub.conf',
    `jetstream { store_dir: $NATS_STORE_DIR, domain: hub }
     accounts { A { jetstream: enabled, ${users} } }
     leafnodes { listen: "127.0.0.1:${port}" }`,
  );
  const leaf = scratchDirectory().write(
    'leaf.conf',
    `${rules}
     accounts { A { ${users} } }
     leafnodes { remotes: [{ url: "nats://a:a@127.0.0.1:${port}", account: A }] }`,
  );
  const servers = [await TestServer.start({ config: hub }), await TestServer.start({ config: leaf })];
  await eventually(async () => {
    const { leafnodes } = await servers[1]!.monitor<{ leafnodes: number }>('leafz');
    expect(leafnodes).toBe(1);
  });
  return {
    url: servers[1]!.url.replace('://', '://a:a@'),
    [Symbol.asyncDispose]: async () => void (await Promise.all(servers.map((server) => server.stop()))),
  };
}

const cli = useCli();

describe('a server that will not do', () => {
  it('nats-server 2.9: says which version it is and which is needed', async () => {
    const script = join(__dirname, '..', '..', 'scripts', 'nats-server');
    const { stdout } = await promisify(execFile)('bash', [script, 'old']);
    const dir = mkdtempSync(join(tmpdir(), 'old-server-'));
    const config = join(dir, 'old.conf');
    // The settings of docker/single.conf that it knows.
    writeFileSync(config, 'jetstream { store_dir: $NATS_STORE_DIR }\n');
    await using server = await TestServer.start({ binary: stdout.trim(), config });
    rmSync(dir, { recursive: true });
    for (const { name, code, message } of await refusals(server.url)) {
      expect({ name, code }).toEqual({ name: 'UnsupportedServerError', code: 'UNSUPPORTED_SERVER' });
      expect(message).toMatch(/nats-server 2\.9\.\d+/);
      expect(message).toMatch(/2\.11 or newer/);
    }
  });

  it('JetStream off: says how to turn it on', async () => {
    await using server = await TestServer.start({ jetstream: false });
    for (const { name, code, message } of await refusals(server.url)) {
      expect({ name, code }).toEqual({ name: 'UnsupportedServerError', code: 'UNSUPPORTED_SERVER' });
      expect(message).toMatch(/JetStream is not enabled/);
      expect(message).toMatch(/-js/);
    }
  });

  describe('an account without JetStream', () => {
    const ACCOUNTS =
      'accounts { WITH { jetstream: enabled, users: [{ user: with, password: p }] }, ' +
      'WITHOUT { users: [{ user: without, password: p }] } }';

    it('is told so at once, also by an acquire that would wait for ever', async () => {
      await using guarded = await GuardedServer.start(ACCOUNTS);
      for (const { name, code, message } of await refusals(guarded.urlWith('without:p'))) {
        expect({ name, code }).toEqual({ name: 'UnsupportedServerError', code: 'UNSUPPORTED_SERVER' });
        expect(message).toMatch(/not for this account.*"jetstream: enabled" to that of the account.*domain/);
      }
      const { code, stderr } = await cli().run(['run', 'n', '--', 'true'], {
        env: { NATS_URL: guarded.urlWith('without:p') },
      });
      expect(code).toBe(78);
      expect(stderr).toMatch(/JetStream is not enabled.*account/);
      await using other = await NatsDispatcher.connect({ servers: guarded.urlWith('with:p') });
      await other.ready();
    });

    it('is an outage to a dispatcher that had JetStream before', async () => {
      await using guarded = await GuardedServer.start(ACCOUNTS);
      await using dispatcher = await NatsDispatcher.connect({ servers: guarded.urlWith('with:p') });
      const held = await dispatcher.mutex('m').lock(5_000);
      await guarded.reload(ACCOUNTS.replace('jetstream: enabled, ', ''));
      const error = await errorOf(() => dispatcher.mutex('n').lock(1_000));
      expect(error).toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
      await guarded.reload(ACCOUNTS);
      await (await dispatcher.mutex('n').lock(20_000)).release();
      await held.release();
    });

    it('at a leaf node without JetStream: has a word about domains', async () => {
      await using leaf = await leafNode('');
      for (const { code, message } of await refusals(leaf.url)) {
        expect(code).toBe('UNSUPPORTED_SERVER');
        expect(message).toMatch(/At a leaf node, JetStream may be in another domain/);
      }
    });

    it('at a leaf node with JetStream, which then says nothing: is warned of while it waits', async () => {
      const warned = jest.spyOn(process, 'emitWarning').mockReturnValue();
      try {
        await using leaf = await leafNode('jetstream { store_dir: $NATS_STORE_DIR, domain: leaf }');
        await using dispatcher = await NatsDispatcher.connect({ servers: leaf.url });
        const waiting = errorOf(() => dispatcher.mutex('m').lock());
        await eventually(() => expect(warned).toHaveBeenCalledTimes(1), 30_000);
        expect(warned).toHaveBeenCalledWith(
          expect.stringMatching(/another domain \(that of this server is "leaf"\)/),
          { code: 'NATS_SEMAPHORE_NO_JETSTREAM' },
        );
        await dispatcher.close();
        expect(await waiting).toMatchObject({ code: 'DISPATCHER_CLOSED' });
      } finally {
        warned.mockRestore();
      }
    });
  });

  it('nobody there: says where it looked', async () => {
    const server = await TestServer.start();
    await server.stop();
    const error = await errorOf(() => NatsDispatcher.connect({ servers: server.url }));
    expect(error).toMatchObject({ name: 'BackendUnavailableError', code: 'BACKEND_UNAVAILABLE' });
    expect(error.message).toContain(server.url);
  });
});

describe('a bucket made by other means', () => {
  it('without TTLs: says what is wrong and what to do, and works once it may be changed', async () => {
    await using server = await TestServer.start();
    const bucket = 'PLAIN';
    const connection = await connect({ servers: server.url });
    const kv = await new Kvm(connection).create(bucket, { history: 5 });
    await kv.put('somebody.elses', 'value');
    for (const { name, code, message } of await refusals(server.url, { bucket })) {
      expect({ name, code }).toEqual({ name: 'BucketConfigError', code: 'BUCKET_CONFIG' });
      expect(message).toContain('"PLAIN"');
      for (const what of [
        'allow_msg_ttl',
        'subject_delete_marker_ttl',
        'max_msgs_per_subject is 5',
        'republish',
      ])
        expect(message).toContain(what);
      expect(message).toContain('allowBucketUpdate: true');
    }
    await using dispatcher = await NatsDispatcher.connect({
      servers: server.url,
      bucket,
      allowBucketUpdate: true,
    });
    const semaphore = dispatcher.semaphore('n', 2);
    const permit = await semaphore.acquire({ count: 2, ttl: 1_000, autoRenew: false });
    const waiting = semaphore.acquire({ timeout: 3_000 });
    expect(permit.slots).toHaveLength(2);
    expect(await (await waiting).release()).toBe(true);
    expect((await kv.get('somebody.elses'))?.string()).toBe('value');
    // Once it is changed, nobody needs to be allowed any more.
    await using other = await NatsDispatcher.connect({ servers: server.url, bucket });
    await other.ready();
    await connection.close();
  });

  it('without atomic batches: takes no several slots at once, until it may be changed', async () => {
    await using server = await TestServer.start();
    const connection = await connect({ servers: server.url });
    const config = {
      name: 'KV_SINGLE',
      subjects: ['$KV.SINGLE.>'],
      storage: 'file',
      num_replicas: 1,
      max_msgs_per_subject: 1,
      discard: 'new',
      allow_direct: true,
      allow_rollup_hdrs: true,
      allow_msg_ttl: true,
      subject_delete_marker_ttl: 1_000_000_000,
      republish: { src: '$KV.SINGLE.>', dest: '$SEMAPHORE.SINGLE.0123456789abcdef.>' },
    };
    await connection.request('$JS.API.STREAM.CREATE.KV_SINGLE', JSON.stringify(config));
    await using dispatcher = await NatsDispatcher.connect({ servers: server.url, bucket: 'SINGLE' });
    const semaphore = dispatcher.semaphore('n', 3);
    expect(await (await semaphore.acquire({ timeout: 5_000 })).release()).toBe(true);
    const both = [{ semaphore }, { semaphore: dispatcher.semaphore('other', 1) }];
    for (const what of [
      () => semaphore.acquire({ count: 2 }),
      () => semaphore.drainPermits(),
      () => dispatcher.acquireAll(both),
    ]) {
      const error = await errorOf(what);
      expect(error).toMatchObject({ name: 'UnsupportedServerError', code: 'UNSUPPORTED_SERVER' });
      expect(error.message).toMatch(/2\.12 or newer.*allowBucketUpdate: true/);
    }
    expect(await semaphore.availablePermits()).toBe(3);
    const options = { servers: server.url, bucket: 'SINGLE', allowBucketUpdate: true };
    await using changed = await NatsDispatcher.connect(options);
    expect((await changed.semaphore('n', 3).acquire({ count: 2, timeout: 5_000 })).count).toBe(2);
    await connection.close();
  });

  it('that removes keys by age: says so', async () => {
    await using server = await TestServer.start();
    const connection = await connect({ servers: server.url });
    await new Kvm(connection).create('AGED', { ttl: 60_000 });
    const [error] = await refusals(server.url, { bucket: 'AGED' });
    expect(error).toMatchObject({ code: 'BUCKET_CONFIG' });
    expect(error!.message).toContain('max_age is 60000000000, needed: 0');
    await connection.close();
  });

  it('in the memory of one server: says that it must be asked for by name', async () => {
    await using server = await TestServer.start();
    await using maker = await NatsDispatcher.connect({
      servers: server.url,
      bucket: 'MEM',
      storage: 'memory',
    });
    await maker.ready();
    const [error] = await refusals(server.url, { bucket: 'MEM' });
    expect(error).toMatchObject({ name: 'BucketConfigError', code: 'BUCKET_CONFIG' });
    expect(error!.message).toContain('storage: "memory"');
  });
});

describe('a bad argument', () => {
  let server: TestServer;
  let connection: NatsConnection;
  let dispatcher: NatsDispatcher;

  beforeAll(async () => {
    server = await TestServer.start();
    connection = await connect({ servers: server.url });
    dispatcher = new NatsDispatcher(connection);
  });

  afterAll(async () => {
    await dispatcher.close();
    await connection.close();
    await server.stop();
  });

  const long = 'x'.repeat(300);
  const semaphore = () => dispatcher.semaphore('n', 2);
  const bad: [string, () => unknown, RegExp][] = [
    ['an empty name', () => dispatcher.semaphore(''), /^name must not be empty/],
    ['a name of 300 bytes', () => dispatcher.semaphore(long), /^name must be at most 256 bytes.*got 300/],
    [
      'a name of 300 bytes in 100 characters',
      () => dispatcher.semaphore('用'.repeat(100)),
      /^name .*256.*300/,
    ],
    ['0 slots', () => dispatcher.semaphore('n', 0), /^slots .*from 1 to 10000.*got 0/],
    ['1.5 slots', () => dispatcher.semaphore('n', 1.5), /^slots must be a whole number.*got 1\.5/],
    ['NaN slots', () => dispatcher.semaphore('n', NaN), /^slots must be a whole number.*got NaN/],
    ['a ttl of 10', () => dispatcher.semaphore('n', 2, { ttl: 10 }), /^ttl must be from 1000 to.*ms, got 10/],
    ['a ttl of 10 of one acquire', () => semaphore().acquire({ ttl: 10 }), /^ttl must be from 1000.*got 10/],
    ['a timeout of -1', () => semaphore().acquire({ timeout: -1 }), /^timeout must be from 0.*got -1/],
    ['a timeout of -1 to lock', () => semaphore().lock(-1), /^timeout must be from 0.*got -1/],
    ['a timeout that is NaN', () => semaphore().lock(NaN), /^timeout must be from 0.*got NaN/],
    ['more than the slots', () => semaphore().acquire({ count: 3 }), /^count .*from 1 to 2.*slots.*got 3/],
    ['a count of 0', () => semaphore().tryAcquire({ count: 0 }), /^count .*from 1 to .*got 0/],
    [
      'a bucket with a dot',
      () => new NatsDispatcher(connection, { bucket: 'a.b' }),
      /^bucket must be.*"a\.b"/,
    ],
    ['a default ttl of 0', () => new NatsDispatcher(connection, { ttl: 0 }), /^ttl must be from 1000.*got 0/],
  ];
  const wrong: [string, () => unknown, RegExp][] = [
    ['slots as text', () => dispatcher.semaphore('n', '3' as never), /^slots must be a number, got "3"/],
    ['no name', () => dispatcher.semaphore(undefined as never), /^name must be a string, got undefined/],
    ['a timeout as text', () => semaphore().lock('5s' as never), /got "5s"/],
    [
      'a signal that is none',
      () => semaphore().acquire({ signal: 1 as never }),
      /^signal must be an AbortSignal, got 1/,
    ],
    [
      'metadata of numbers',
      () => semaphore().acquire({ metadata: { a: 1 as never } }),
      /^metadata\.a must be a string, got 1/,
    ],
    [
      'autoRenew as text',
      () => semaphore().acquire({ autoRenew: 'no' as never }),
      /^autoRenew must be true or false, got "no"/,
    ],
    ['work that is none', () => semaphore().lock(5, 7 as never), /^work must be a function, got number/],
  ];

  async function sent(): Promise<number> {
    await connection.flush();
    const [only] = await connections(server);
    return only!.in_msgs;
  }

  describe.each([
    ['RangeError', bad],
    ['TypeError', wrong],
  ])('is a %s that names it, its value and what is allowed', (type, cases) => {
    it.each(cases)('%s', async (_, what, message) => {
      const before = await sent();
      const error = await errorOf(what);
      expect(error.name).toBe(type);
      expect(error.message).toMatch(message);
      expect(await sent()).toBe(before);
    });
  });

  it('is refused also while the server is down', async () => {
    await using other = await TestServer.start();
    await using own = await NatsDispatcher.connect({ servers: other.url });
    await other.kill();
    await expect(own.semaphore('n', 1).acquire({ timeout: -1 })).rejects.toBeInstanceOf(RangeError);
    await expect(own.semaphore('n', 1).acquire({ count: 2 })).rejects.toBeInstanceOf(RangeError);
  });

  it('does not make the connection talk at all', async () => {
    const before = await sent();
    for (const [, what] of [...bad, ...wrong]) await errorOf(what);
    expect(await sent()).toBe(before);
  });
});
