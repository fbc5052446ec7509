/** The table of section 1 of `docs/protocol.md`: each of its buckets is made by hand, and refused or used as the table says. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type NatsConnection, connect } from '@nats-io/transport-node';
import { NatsDispatcher } from '../../src';
import { TestServer } from '../../src/testing';
import { eventually } from '../support/eventually';
import { newId } from '../support/foreign-client';
import { ProtocolText } from '../support/protocol-text';

const text = new ProtocolText();
const rows = text.rows('stream setting') as [string, string, string, string, string][];

interface Reply {
  config: Record<string, unknown>;
  error?: { description: string };
}

let server: TestServer;
let connection: NatsConnection;
let buckets = 0;

beforeAll(async () => {
  server = await TestServer.start();
  connection = await connect({ servers: server.url });
  await api('STREAM.CREATE.OTHER', { name: 'OTHER', subjects: ['orders'], num_replicas: 1, storage: 'file' });
});

afterAll(async () => {
  await connection.close();
  await server.stop();
});

async function api(call: string, request: object): Promise<Reply['config']> {
  const reply = await connection.request(`$JS.API.${call}`, JSON.stringify(request), { timeout: 5_000 });
  const { config, error } = reply.json<Reply>();
  if (error !== undefined) throw new Error(`${call}: ${error.description}`);
  return config;
}

/** Makes a bucket with the settings of the page, but for some. */
async function make(change: Record<string, unknown>): Promise<{ bucket: string; config: Reply['config'] }> {
  const bucket = `T${++buckets}`;
  const values = { bucket, token: newId() };
  const page = { ...text.json('stream', values), first_seq: Date.now() * 1_000 };
  // Of these the server knows the last only as a change of a stream that is there.
  const { sealed, ...others } = JSON.parse(fill(change, values)) as Record<string, unknown>;
  const config = await api(`STREAM.CREATE.KV_${bucket}`, { ...page, ...others });
  if (sealed === undefined) return { bucket, config };
  return { bucket, config: await api(`STREAM.UPDATE.KV_${bucket}`, { ...config, sealed }) };
}

function fill(value: unknown, values: Record<string, string>): string {
  return JSON.stringify(value).replace(/<(bucket|token)>/g, (_, name: string) => values[name] as string);
}

/** What opening the bucket throws. */
async function refusal(bucket: string, allowBucketUpdate: boolean): Promise<Error & { code?: string }> {
  await using dispatcher = await NatsDispatcher.connect({ servers: server.url, bucket, allowBucketUpdate });
  return await dispatcher.ready().then(
    () => Promise.reject(new Error('the bucket was used')),
    (error: Error) => error,
  );
}

/** A holder that does not renew, and a waiter that hears of the end of its hold. */
async function use(bucket: string, allowBucketUpdate = false): Promise<void> {
  await using dispatcher = await NatsDispatcher.connect({ servers: server.url, bucket, allowBucketUpdate });
  const semaphore = dispatcher.semaphore('a', 1, { fair: true });
  await semaphore.acquire({ ttl: 1_000, autoRenew: false, timeout: 5_000 });
  const next = await semaphore.acquire({ timeout: 10_000 });
  await next.renew();
  expect(await next.release()).toBe(true);
  expect(await (await semaphore.acquire({ timeout: 5_000 })).release()).toBe(true);
  expect(dispatcher.diagnostics.feed.safetyFinds).toBe(0);
}

const named = rows.map(([setting, value, then, inPlace]) => ({ setting, value, then, inPlace }));
const CONFIG = { code: 'BUCKET_CONFIG', name: 'BucketConfigError' };

describe('a bucket made by hand', () => {
  it.each(named.filter(({ then }) => then === 'refused'))('with $value is refused', async (row) => {
    const { setting, value, inPlace } = row;
    const { bucket, config } = await make(JSON.parse(value) as Record<string, unknown>);
    const error = await refusal(bucket, false);
    expect(error).toMatchObject(CONFIG);
    // Some settings come only with another one, which is the reason.
    const reason = setting === 'mirror_direct' ? 'mirror' : setting;
    const shown = config[reason] === undefined ? 'not set' : JSON.stringify(config[reason]);
    expect(error.message).toContain(`${reason} is ${shown}, needed: `);
    if (inPlace === 'yes') {
      expect(error.message).toContain('allowBucketUpdate: true');
      await use(bucket, true);
      // Once it is changed, it needs no permission any more.
      await use(bucket);
    } else {
      expect(inPlace).toBe('no');
      for (const { message } of [error, await refusal(bucket, true)])
        expect(message).toMatch(new RegExp(`can not be changed in place: .*\\b${reason} is `));
    }
  });

  it.each(named.filter(({ then }) => then === 'accepted'))('with $value is used', async ({ value }) => {
    const { bucket } = await make(JSON.parse(value) as Record<string, unknown>);
    await use(bucket);
  });

  it('has no setting that the table lacks', async () => {
    const all = named.map(({ setting }) => setting);
    for (const { value } of named) {
      const { config } = await make(JSON.parse(value) as Record<string, unknown>);
      expect(['name', ...all]).toEqual(expect.arrayContaining(Object.keys(config)));
    }
    expect(named.every(({ then }) => then === 'refused' || then === 'accepted')).toBe(true);
    expect(all.length).toBeGreaterThan(40);
  });

  it('and changed while it is used: is refused from then on, and used again once it is right', async () => {
    const { bucket, config } = await make({});
    await using dispatcher = await NatsDispatcher.connect({ servers: server.url, bucket });
    const semaphore = dispatcher.semaphore('a', 1);
    expect(await (await semaphore.acquire({ timeout: 5_000 })).release()).toBe(true);
    await api(`STREAM.UPDATE.KV_${bucket}`, { ...config, max_age: 600_000_000_000 });
    await eventually(async () =>
      expect(await semaphore.availablePermits().catch((error: Error) => error.message)).toContain(
        'max_age is 600000000000, needed: 0',
      ),
    );
    await api(`STREAM.UPDATE.KV_${bucket}`, config);
    expect(await (await semaphore.acquire({ timeout: 5_000 })).release()).toBe(true);
  });

  it('and told to announce elsewhere while waiters listen: they listen there', async () => {
    const { bucket, config } = await make({});
    const open = () => NatsDispatcher.connect({ servers: server.url, bucket });
    await using holder = await open();
    await using other = await open();
    const held = await holder.semaphore('a', 1).acquire({ timeout: 5_000 });
    const waiting = other.semaphore('a', 1).acquire({ timeout: 20_000 });
    const dest = `$SEMAPHORE.${bucket}.${newId()}.>`;
    const listening = async (): Promise<string[]> => {
      const { connections } = await server.monitor<{ connections: { subscriptions_list?: string[] }[] }>(
        'connz?subs=true',
      );
      return connections.flatMap(({ subscriptions_list }) => subscriptions_list ?? []);
    };
    await eventually(async () => expect((await listening()).join()).toContain(`$SEMAPHORE.${bucket}.`));
    await api(`STREAM.UPDATE.KV_${bucket}`, { ...config, republish: { src: `$KV.${bucket}.>`, dest } });
    await eventually(async () => {
      const all = (await listening()).filter((subject) => subject.startsWith(`$SEMAPHORE.${bucket}.`));
      expect(all.length).toBeGreaterThan(0);
      expect(all.filter((subject) => !subject.startsWith(dest.slice(0, -1)))).toEqual([]);
    });
    await held.release();
    expect(await (await waiting).release()).toBe(true);
    for (const { diagnostics } of [holder, other]) expect(diagnostics.feed.safetyFinds).toBe(0);
  });

  it('and mended by two clients at once: both hear what the other does', async () => {
    const { bucket } = await make({ republish: { src: '$KV.<bucket>.>', dest: '$SEMAPHORE.<bucket>.>' } });
    const open = () => NatsDispatcher.connect({ servers: server.url, bucket, allowBucketUpdate: true });
    const both = await Promise.all([open(), open(), open(), open()]);
    const work = async (dispatcher: NatsDispatcher): Promise<void> => {
      const semaphore = dispatcher.semaphore('a', 1, { fair: true });
      for (let i = 0; i < 20; i++) await semaphore.lock(20_000, () => undefined);
    };
    await Promise.all(both.map(work));
    for (const { diagnostics } of both) expect(diagnostics.feed.safetyFinds).toBe(0);
    await Promise.all(both.map((dispatcher) => dispatcher.close()));
  });
});
