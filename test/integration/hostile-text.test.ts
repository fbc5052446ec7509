/**
 * Whatever names, holders, metadata and permit ids say: what is sent and subscribed to stays with the semaphore's own keys,
 * and what is stored stays within bounds. Listens to all that goes over a real server.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type NatsConnection, connect } from '@nats-io/transport-node';
import fc from 'fast-check';
import { NatsDispatcher } from '../../src';
import { encodeName } from '../../src/protocol/name';
import { TestServer } from '../../src/testing';
import { anyName, anyText } from '../support/any-text';
import { BucketProbe } from '../support/bucket-probe';
import { connections } from '../support/server-counts';

/** What the bucket's stream takes at most, headers included. */
const MAX_BYTES = 16_384;
const HEADERS = new Set([
  'Nats-Expected-Last-Subject-Sequence',
  'Nats-TTL',
  'Semaphore-Write',
  'KV-Operation',
  'Nats-Batch-Id',
  'Nats-Batch-Sequence',
  'Nats-Batch-Commit',
]);
const API = new Set(
  ['STREAM.INFO', 'STREAM.MSG.GET', 'DIRECT.GET', 'STREAM.CREATE'].map(
    (call) => `$JS.API.${call}.KV_SEMAPHORES`,
  ),
);

let server: TestServer;
let tap: NatsConnection;
/** Everything that was sent, by anybody. */
let sent: { subject: string; headers: readonly string[]; bytes: number }[] = [];

beforeAll(async () => {
  server = await TestServer.start();
  tap = await connect({ servers: server.url, name: 'tap' });
  tap.subscribe('>', {
    callback: (_, { subject, headers, data }) =>
      void sent.push({ subject, headers: headers?.keys() ?? [], bytes: data.length }),
  });
  await tap.flush();
});

afterAll(async () => {
  await tap.close();
  await server.stop();
});

/** Text of the holder: `undefined` is the default one. */
const hostile = fc.record({
  name: anyName,
  holder: fc.option(anyText(1_024), { nil: undefined }),
  metadata: fc.dictionary(anyText(60), anyText(300), { maxKeys: 4, noNullPrototype: true }),
  permitId: anyText(200).filter((id) => id !== ''),
});

describe('whatever the text', () => {
  it('only the keys of the semaphore are written, and only they are listened to', async () => {
    let writes = 0;
    const property = fc.asyncProperty(hostile, async ({ name, holder, metadata, permitId }) => {
      sent = [];
      await using dispatcher = await NatsDispatcher.connect({ servers: server.url, holder });
      const semaphore = dispatcher.semaphore(name, 2, { fair: true, limitPolicy: 'set' });
      const permit = await semaphore.acquire({ metadata, timeout: 10_000 });
      const { holders } = await semaphore.status();
      expect(holders).toEqual([
        expect.objectContaining({ permitId: permit.id, metadata, ...(holder !== undefined && { holder }) }),
      ]);
      await permit.renew();
      expect(await semaphore.forceRelease(permitId)).toBe(false);
      const waiting = semaphore.acquire({ count: 2, metadata, timeout: 10_000 });
      await semaphore.setPermits(3);
      expect((await dispatcher.list()).map((summary) => summary.name)).toContain(name);
      const subscribed = await subscriptionsOfOthers();
      expect(await permit.release()).toBe(true);
      expect(await (await waiting).release()).toBe(true);
      await dispatcher.close();
      await tap.flush();

      const prefix = `sem.${encodeName(name)}.`;
      const rest = /^(limit|slot\.(0|[1-9]\d{0,4})|ticket\.[A-Za-z0-9_-]{16})$/;
      for (const { subject, headers, bytes } of sent) {
        // Answers, and what the server itself tells: of the bucket's changes, and of requests to JetStream.
        if (/^(_INBOX|\$JS\.EVENT|\$SYS)\./.test(subject) || API.has(subject) || subject === '$JS.API.INFO')
          continue;
        const own =
          /^(?:\$KV\.SEMAPHORES|\$SEMAPHORE\.SEMAPHORES\.[\w-]{16})\.(.*)$/s.exec(subject)?.[1] ?? '';
        expect([subject, own.startsWith(prefix)]).toEqual([subject, true]);
        expect(own.slice(prefix.length)).toMatch(rest);
        if (!subject.startsWith('$KV')) continue;
        writes++;
        expect(headers.filter((header) => !HEADERS.has(header))).toEqual([]);
        expect(bytes).toBeLessThan(MAX_BYTES);
      }
      const allowed = [
        '$JS.EVENT.ADVISORY.STREAM.DELETED.KV_SEMAPHORES',
        '$JS.EVENT.ADVISORY.STREAM.UPDATED.KV_SEMAPHORES',
        `$SEMAPHORE.SEMAPHORES.<token>.${prefix}>`,
        '$SEMAPHORE.SEMAPHORES.<token>.sem.*.limit',
      ];
      const own = subscribed
        .filter((subject) => !subject.startsWith('_INBOX.'))
        .map((subject) => subject.replace(/^(\$SEMAPHORE\.SEMAPHORES)\.[\w-]{16}\./, '$1.<token>.'));
      expect(own).toContain(allowed[2]);
      expect(own.filter((subject) => !allowed.includes(subject))).toEqual([]);
    });
    await fc.assert(property, { numRuns: 60 });
    expect(writes).toBeGreaterThan(60 * 5);
  });
});

async function subscriptionsOfOthers(): Promise<string[]> {
  const clients = await connections(server);
  return clients.filter(({ name }) => name !== 'tap').flatMap((client) => client.subscriptions_list ?? []);
}

describe('the size of what is stored', () => {
  const longest = {
    holder: '\0'.repeat(1_024),
    // {"k":"..."}: 4,096 bytes as JSON.
    metadata: { k: 'x'.repeat(4_096 - '{"k":""}'.length) },
    name: '>'.repeat(256),
  };

  it('the longest that is allowed fits, 1,000 slots at once too', async () => {
    const { holder, metadata, name } = longest;
    await using dispatcher = await NatsDispatcher.connect({ servers: server.url, holder });
    const semaphore = dispatcher.semaphore(name, 1_000, { fair: true, ttl: 60_000 });
    sent = [];
    const permit = await semaphore.acquire({ metadata, count: 1_000, timeout: 30_000 });
    expect(permit.slots).toHaveLength(1_000);
    await permit.renew();
    await tap.flush();
    const most = Math.max(...sent.map(({ bytes }) => bytes));
    console.log(`the longest value has ${most} bytes`);
    expect(most).toBeGreaterThan(10_000);
    expect(await permit.release()).toBe(true);
  });

  it.each([
    ['holder', { holder: 'x'.repeat(1_025) }],
    ['metadata', { metadata: { k: 'x'.repeat(4_096) } }],
    ['name', { name: 'x'.repeat(257) }],
  ])('more of a %s is refused before it is sent', async (what, more) => {
    const { holder, metadata, name } = { ...longest, ...more };
    const attempt = async (): Promise<unknown> => {
      await using dispatcher = await NatsDispatcher.connect({ servers: server.url, holder });
      return await dispatcher.semaphore(name, 1).tryAcquire({ metadata });
    };
    await expect(attempt()).rejects.toThrow(new RegExp(`^${what} must be at most`));
  });

  it('the bucket takes nothing longer from anybody', async () => {
    await using dispatcher = await NatsDispatcher.connect({ servers: server.url });
    await dispatcher.ready();
    await using probe = await BucketProbe.open(server.url);
    const put = (bytes: number): Promise<{ error?: { err_code: number } }> =>
      tap
        .request('$KV.SEMAPHORES.sem.foreign.slot.0', JSON.stringify('x'.repeat(bytes - 2)))
        .then((answer) => answer.json<{ error?: { err_code: number } }>());
    expect((await put(MAX_BYTES + 1)).error).toMatchObject({ err_code: 10054 });
    expect(await probe.entry('sem.foreign.slot.0')).toBeUndefined();
    expect((await put(MAX_BYTES)).error).toBeUndefined();
    // What fits and is not ours to read counts as a taken slot, and breaks nothing.
    expect(await dispatcher.semaphore('foreign', 2).availablePermits()).toBe(1);
  });

  it('a bucket that is changed in place keeps its own bound', async () => {
    const config = {
      name: 'KV_SHARED',
      subjects: ['$KV.SHARED.>'],
      max_msgs_per_subject: 1,
      max_msg_size: 50_000,
    };
    await tap.request('$JS.API.STREAM.CREATE.KV_SHARED', JSON.stringify({ ...config, discard: 'new' }));
    const options = { servers: server.url, bucket: 'SHARED', allowBucketUpdate: true };
    await using dispatcher = await NatsDispatcher.connect(options);
    await dispatcher.ready();
    const info = await tap.request('$JS.API.STREAM.INFO.KV_SHARED');
    expect(info.json<{ config: object }>().config).toMatchObject({
      max_msg_size: 50_000,
      allow_msg_ttl: true,
    });
  });
});
