/** Buckets in JetStream domains, behind leaf nodes, and imported from another account. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connect as connect3 } from '@nats-io/transport-node';
import { connect as connect2 } from 'nats';
import { NatsDispatcher, type Permit, getDefaultLockManager } from '../../src';
import { TestServer } from '../../src/testing';
import { startSidecar } from '../../src/sidecar';
import type { PermitView } from '../../src/sidecar/permits';
import { BucketProbe } from '../support/bucket-probe';
import { useCli } from '../support/cli';
import { eventually } from '../support/eventually';
import { HUB, HubAndLeaf, LEAF } from '../support/leaf-node';
import { occupancy } from '../support/occupancy';
import { scratchDirectory } from '../support/scratch';
import { connections } from '../support/server-counts';
import { SidecarClient } from '../support/sidecar-client';
import { WorkerProcess } from '../support/worker-process';

const cli = useCli();
let servers: HubAndLeaf;

beforeAll(async () => {
  servers = await HubAndLeaf.start();
});
afterAll(() => servers[Symbol.asyncDispose]());

/** Subjects of announcements that the clients of a server listen to. */
async function announcements(server: TestServer): Promise<string[]> {
  const all = (await connections(server)).flatMap(({ subscriptions_list }) => subscriptions_list ?? []);
  return all.filter((subject) => /^\$SEMAPHORE\.SEMAPHORES\./.test(subject));
}

describe('a hub and a leaf node with a bucket of the same name each', () => {
  it('clients at their own server: 32 of 32 fair acquires on both sides at once, nothing lost', async () => {
    const sides = [servers.hub, servers.leaf];
    const listeners = await Promise.all(sides.map(({ url }) => connect3({ servers: url })));
    const heard = listeners.map((listener) => {
      const tokens = new Set<string>();
      listener.subscribe('$SEMAPHORE.>', {
        callback: (_, { subject }) => void tokens.add(subject.split('.')[2] as string),
      });
      return tokens;
    });
    for (const listener of listeners) await listener.flush();
    const crews = await Promise.all(
      sides.map(({ url }) =>
        Promise.all(Array.from({ length: 8 }, () => NatsDispatcher.connect({ servers: url }))),
      ),
    );
    const lost: unknown[] = [];
    const work = async (dispatcher: NatsDispatcher): Promise<number> => {
      const semaphore = dispatcher.semaphore('shared', 2, { fair: true });
      let granted = 0;
      for (let i = 0; i < 4; i++) {
        await semaphore.lock(20_000, async (permit: Permit) => {
          permit.signal.addEventListener('abort', () => void lost.push(permit.signal.reason));
          await new Promise((resolve) => setTimeout(resolve, 10));
          expect(permit.isHeld).toBe(true);
          granted++;
        });
      }
      return granted;
    };
    const listened: string[][] = [[], []];
    const watching = Promise.all(
      sides.map((server, side) =>
        eventually(async () => {
          listened[side] = await announcements(server);
          expect(listened[side].length).toBeGreaterThan(0);
        }),
      ),
    );
    const grants = await Promise.all(crews.map((crew) => Promise.all(crew.map(work))));
    await watching;
    expect(grants.map((side) => side.reduce((sum, each) => sum + each, 0))).toEqual([32, 32]);
    expect(lost).toEqual([]);
    for (const { diagnostics } of crews.flat()) expect(diagnostics.feed.safetyFinds).toBe(0);

    // Who listens to everything hears both buckets, on both sides; clients listen to their own only.
    const own = listened.map((subjects) => [...new Set(subjects.map((subject) => subject.split('.')[2]))]);
    expect(own.map((tokens) => tokens.length)).toEqual([1, 1]);
    for (const tokens of heard) expect([...tokens].sort()).toEqual(own.flat().sort());
    await Promise.all(crews.flat().map((dispatcher) => dispatcher.close()));
    await Promise.all(listeners.map((listener) => listener.close()));
  });

  it('a bucket deleted at the leaf takes no permit at the hub', async () => {
    await using probe = await BucketProbe.open(servers.leaf.url);
    await using hub = await NatsDispatcher.connect({ servers: servers.hub.url });
    await using leaf = await NatsDispatcher.connect({ servers: servers.leaf.url });
    const [kept, gone] = await Promise.all(
      [hub, leaf].map((dispatcher) => dispatcher.mutex('m').acquire({ timeout: 5_000 })),
    );
    let advisories = 0;
    const at = await connect3({ servers: servers.hub.url });
    at.subscribe('$JS.EVENT.ADVISORY.STREAM.DELETED.>', { callback: () => void advisories++ });
    await at.flush();
    await probe.deleteBucket();
    await eventually(() => expect(gone!.signal.aborted).toBe(true));
    // The hub's clients were told so, too.
    await eventually(() => expect(advisories).toBe(1));
    await kept!.renew();
    expect(kept!.isHeld).toBe(true);
    expect(await kept!.release()).toBe(true);
    await at.close();
  });
});

describe('a bucket of the hub', () => {
  const BUCKET = 'HUBS';
  const options = { bucket: BUCKET, domain: HUB };

  it('is shared by workers at the hub and at the leaf: both work, never more than 3', async () => {
    const asked = { name: 'pool', slots: 3, loops: 4, total: 60, work: 10 };
    const workers = await Promise.all([
      WorkerProcess.start({ url: servers.hub.url, options: { bucket: BUCKET } }),
      WorkerProcess.start({ url: servers.leaf.url, options }),
    ]);
    const done = await Promise.all(workers.map((worker) => worker.request('loop', asked)));
    const counts = await Promise.all(workers.map((worker) => worker.request('diagnostics')));
    const seen = occupancy(...workers.map(({ steps }) => steps));
    expect(done.map(({ done: each, lost }) => [each, lost])).toEqual([
      [60, 0],
      [60, 0],
    ]);
    expect(seen).toEqual({ peak: { pool: 3 }, overlaps: [], tokenFaults: [], stays: 120 });
    expect(counts.map(({ safetyFinds }) => safetyFinds)).toEqual([0, 0]);
  });

  it.each([
    ['of @nats-io/transport-node', () => connect3({ servers: servers.leaf.url })],
    ['of nats 2.x', () => connect2({ servers: servers.leaf.url })],
  ])('is reached by a connection %s, and by the default way of locks', async (_, open) => {
    const connection = await open();
    await using dispatcher = new NatsDispatcher(connection, options);
    const together = [
      { semaphore: dispatcher.semaphore('x', 2), count: 2 },
      { semaphore: dispatcher.mutex('y') },
    ];
    expect(await (await dispatcher.acquireAll(together, { timeout: 5_000 })).release()).toBe(true);
    const manager = getDefaultLockManager();
    manager.configure({ connection, ...options });
    const permit = await manager.getOrCreateLock('z', 'nats').lock(5_000);
    await using hub = await NatsDispatcher.connect({ servers: servers.hub.url, bucket: BUCKET });
    expect(await hub.mutex('z').isLocked()).toBe(true);
    expect(await permit.release()).toBe(true);
    await manager.close();
    await dispatcher.close();
    await connection.close();
  });

  it('lives through an outage of the leaf node link', async () => {
    await using dispatcher = await NatsDispatcher.connect({ servers: servers.leaf.url, ...options });
    const held = await dispatcher.mutex('long').acquire({ timeout: 5_000, ttl: 30_000 });
    await servers.hub.stop({ keepStore: true });
    await expect(dispatcher.mutex('other').acquire({ timeout: 500 })).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
    });
    await servers.hub.restart();
    await servers.joined();
    await held.renew();
    expect(await held.release()).toBe(true);
    expect(await (await dispatcher.mutex('other').acquire({ timeout: 20_000 })).release()).toBe(true);
  });

  it('is seen and held by the command line at the leaf', async () => {
    await using hub = await NatsDispatcher.connect({ servers: servers.hub.url, bucket: BUCKET });
    await hub.semaphore('seen', 2).trySetPermits(2);
    const env = { NATS_URL: servers.leaf.url, NATS_SEMAPHORE_BUCKET: BUCKET };
    const flags = ['status', 'seen', '--json'];
    for (const [args, more] of [
      [[...flags, '--js-domain', HUB], {}],
      [[...flags, '--js-api-prefix', `$JS.${HUB}.API`], {}],
      [flags, { NATS_SEMAPHORE_JS_DOMAIN: HUB }],
      [flags, { NATS_SEMAPHORE_JS_API_PREFIX: `$JS.${HUB}.API`, NATS_SEMAPHORE_JS_DOMAIN: '' }],
    ] as const) {
      const { code, stderr, stdout } = await cli().run([...args], { env: { ...env, ...more } });
      expect([code, stderr]).toEqual([0, '']);
      expect(JSON.parse(stdout)).toMatchObject([{ name: 'seen', slots: 2, available: 2 }]);
    }
    const both = await cli().run([...flags, '--js-domain', HUB, '--js-api-prefix', 'X'], { env });
    expect([both.code, both.stderr]).toEqual([
      64,
      expect.stringContaining('--js-domain and --js-api-prefix'),
    ]);
  });

  it('is served by a sidecar at the leaf', async () => {
    const connect = { servers: servers.leaf.url, ...options };
    const sidecar = await startSidecar({ port: 0, drainTimeout: 0, connect });
    const client = new SidecarClient(sidecar.url);
    const { body } = await client.post<PermitView>('/v1/mutexes/served/permits');
    await using hub = await NatsDispatcher.connect({ servers: servers.hub.url, bucket: BUCKET });
    expect((await hub.mutex('served').status()).holders).toMatchObject([{ permitId: body.permitId }]);
    await sidecar.close();
    expect(await hub.mutex('served').isLocked()).toBe(false);
  });

  it('is not the bucket of that name of the leaf', async () => {
    await using there = await NatsDispatcher.connect({ servers: servers.leaf.url, ...options });
    await using here = await NatsDispatcher.connect({
      servers: servers.leaf.url,
      bucket: BUCKET,
      domain: LEAF,
    });
    const permits = await Promise.all(
      [there, here].map((dispatcher) => dispatcher.mutex('same').acquire({ timeout: 5_000 })),
    );
    for (const permit of permits) expect(await permit.release()).toBe(true);
  });
});

it('a domain that is not there: says under which prefix nothing answers', async () => {
  await using dispatcher = await NatsDispatcher.connect({ servers: servers.leaf.url, domain: 'elsewhere' });
  await expect(dispatcher.mutex('m').acquire({ timeout: 500 })).rejects.toMatchObject({
    code: 'BACKEND_UNAVAILABLE',
    message: expect.stringContaining('no JetStream answers under $JS.elsewhere.API'),
  });
});

it.each([
  [{ domain: 'a', apiPrefix: 'b' }, /^domain "a" and apiPrefix "b" exclude each other/],
  [{ domain: '' }, /^domain must be one token.*got ""/],
  [{ domain: 'a.b' }, /^domain must be one token.*got "a\.b"/],
  [{ domain: '*' }, /^domain .*got "\*"/],
  [{ apiPrefix: 'a.' }, /^apiPrefix must be tokens joined by dots.*got "a\."/],
  [{ apiPrefix: 'a b' }, /^apiPrefix .*got "a b"/],
  [{ apiPrefix: '$JS.>' }, /^apiPrefix .*got "\$JS\.>"/],
  [{ apiPrefix: 'x'.repeat(300) }, /^apiPrefix .*at most 256 bytes/],
  [{ maxBytes: 1_000 }, /^maxBytes must be a whole number from 16384 .*got 1000/],
  [{ maxBytes: 20_000.5 }, /^maxBytes .*got 20000\.5/],
])('%j is refused', async (options, message) => {
  await expect(NatsDispatcher.connect({ servers: servers.hub.url, ...options })).rejects.toThrow(
    expect.objectContaining({ name: 'RangeError', message: expect.stringMatching(message) }),
  );
});

describe('an account that imports the JetStream API of another', () => {
  /** The block of docs/operations.md, with a user in each account. */
  const start = (): Promise<TestServer> => {
    const page = readFileSync(join(__dirname, '..', '..', 'docs', 'operations.md'), 'utf8');
    const block = /^```text import\n([\s\S]*?)^```$/m.exec(page)?.[1] ?? '';
    const accounts = block
      .replace(/^LOCKS: \{$/m, '$& users: [{ user: owner, password: owner }]')
      .replace(/^APP: \{$/m, '$& users: [{ user: guest, password: guest }]');
    const jetstream = 'jetstream { store_dir: $NATS_STORE_DIR, max_file_store: 1GB }';
    const config = scratchDirectory().write('import.conf', `${jetstream}\naccounts {\n${accounts}}`);
    return TestServer.start({ config });
  };

  it('acquires, hands over, releases, watches, lists and counts down, with the owner beside it', async () => {
    await using server = await start();
    const login = (user: string) => ({ servers: server.url, user, pass: user });
    await using owner = await NatsDispatcher.connect(login('owner'));
    await owner.ready();
    await using guest = await NatsDispatcher.connect({ ...login('guest'), apiPrefix: 'locks' });
    await using other = await NatsDispatcher.connect({ ...login('guest'), apiPrefix: 'locks' });
    const pool = (dispatcher: NatsDispatcher) => dispatcher.semaphore('pool', 2, { fair: true });
    const stop = new AbortController();
    const seen = pool(guest).watch({ signal: stop.signal })[Symbol.asyncIterator]();
    expect((await seen.next()).value).toMatchObject({ available: 2 });
    const held = await pool(owner).acquire({ count: 2, timeout: 5_000 });
    const waiting = [guest, other].map((dispatcher) => pool(dispatcher).acquire({ timeout: 10_000 }));
    await held.renew();
    let latest: { available: number };
    do latest = (await seen.next()).value as { available: number };
    while (latest.available > 0);
    expect(await held.release()).toBe(true);
    const granted = await Promise.all(waiting);
    await granted[0]!.renew();
    expect(await owner.list()).toEqual(await guest.list());
    for (const permit of granted) expect(await permit.release()).toBe(true);
    const both = await pool(guest).acquire({ count: 2, timeout: 5_000 });
    expect(await both.release()).toBe(true);
    const done = guest.latch('done').wait({ timeout: 10_000 });
    await owner.latch('done', 1).countDown();
    await done;
    const reading = await guest.readLock('file', 5_000);
    const writing = owner.writeLock('file', 10_000);
    expect(await reading.release()).toBe(true);
    expect(await (await writing).release()).toBe(true);
    stop.abort();
    for (const { diagnostics } of [owner, guest, other]) expect(diagnostics.feed.safetyFinds).toBe(0);

    // It hears that the bucket was deleted.
    const lost = await guest.mutex('m').acquire({ timeout: 5_000 });
    const admin = await connect3(login('owner'));
    await admin.request('$JS.API.STREAM.DELETE.KV_SEMAPHORES');
    await eventually(() => expect(lost.signal.aborted).toBe(true));
    await admin.close();
    // It may not create the bucket, and uses it again as soon as the owner has.
    await owner.ready();
    expect(await (await guest.mutex('m').acquire({ timeout: 10_000 })).release()).toBe(true);
  });
});

describe('an account that requires max_bytes', () => {
  let server: TestServer;

  beforeAll(async () => {
    const config = scratchDirectory().write(
      'bounded.conf',
      `jetstream { store_dir: $NATS_STORE_DIR, max_file_store: 1GB }
      accounts {
        A: {
          jetstream: { max_file: 10M, max_mem: 1M, max_bytes_required: true }
          users: [{ user: a, password: a }]
        }
      }`,
    );
    server = await TestServer.start({ config });
  });
  afterAll(() => server.stop());

  const login = () => ({ servers: server.url, user: 'a', pass: 'a' });

  it('without maxBytes: the error names it', async () => {
    await using dispatcher = await NatsDispatcher.connect(login());
    await expect(dispatcher.ready()).rejects.toMatchObject({
      code: 'BUCKET_CONFIG',
      message: expect.stringMatching(/"SEMAPHORES".*max bytes.*give maxBytes/),
    });
  });

  it('with more than the account has: the error names it and its value', async () => {
    await using dispatcher = await NatsDispatcher.connect({ ...login(), maxBytes: 100_000_000 });
    await expect(dispatcher.ready()).rejects.toMatchObject({
      code: 'BUCKET_CONFIG',
      message: expect.stringMatching(/maxBytes 100000000.*insufficient storage/),
    });
  });

  it('with maxBytes: the bucket has that bound, and is used without it afterwards', async () => {
    await using dispatcher = await NatsDispatcher.connect({ ...login(), maxBytes: 1_000_000 });
    expect(await (await dispatcher.mutex('m').acquire({ timeout: 5_000 })).release()).toBe(true);
    await using other = await NatsDispatcher.connect(login());
    await other.ready();
    const admin = await connect3(login());
    const info = await admin.request('$JS.API.STREAM.INFO.KV_SEMAPHORES');
    expect(info.json<{ config: object }>().config).toMatchObject({ max_bytes: 1_000_000, discard: 'new' });
    await admin.close();
  });

  it('and the command line has --max-bytes', async () => {
    const env = { NATS_URL: server.url, NATS_USER: 'a', NATS_PASSWORD: 'a', NATS_SEMAPHORE_BUCKET: 'CLI' };
    const refused = await cli().run(['list'], { env });
    expect([refused.code, refused.stderr]).toEqual([78, expect.stringContaining('maxBytes')]);
    const made = await cli().run(['list', '--max-bytes', '1000000'], { env });
    expect([made.code, made.stderr]).toEqual([0, '']);
  });
});
