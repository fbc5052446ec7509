import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { NatsDispatcher } from '../../src';
import { type SidecarLimits, type SidecarOptions, startSidecar } from '../../src/sidecar';
import type { PermitView } from '../../src/sidecar/permits';
import type { SessionView } from '../../src/sidecar/session';
import { TestServer } from '../../src/testing';
import { eventually } from '../support/eventually';
import { totals } from '../support/server-counts';
import { type Answer, type ProblemBody, SidecarClient } from '../support/sidecar-client';

let server: TestServer;
beforeAll(async () => void (server = await TestServer.start()));
afterAll(() => server.stop());

async function using(
  limits: SidecarLimits,
  test: (client: SidecarClient) => Promise<void>,
  options: SidecarOptions = {},
): Promise<void> {
  const connection = { servers: server.url };
  await using sidecar = await startSidecar({
    connect: connection,
    port: 0,
    drainTimeout: 0,
    limits,
    ...options,
  });
  await test(new SidecarClient(sidecar.url));
}

const FULL = { status: 503, type: 'application/problem+json', body: { status: 503, code: 'SIDECAR_FULL' } };

/** A connection of which nothing is read or written but what the test does. */
function raw({ url }: SidecarClient, text = ''): Socket {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  if (text !== '') socket.write(text);
  return socket;
}

/** All that comes until the other side closes. */
async function answerOf(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => (text += part));
  await once(socket, 'close');
  return text;
}

const gauge = async (client: SidecarClient, name: string): Promise<number> => {
  const { body } = await client.get<string>('/metrics');
  return Number(new RegExp(`^nats_semaphore_sidecar_${name}(?:\\{.*\\})? (\\d+)`, 'm').exec(body)?.[1] ?? 0);
};

describe('a limit', () => {
  it.each<[SidecarLimits, RegExp]>([
    [{ sessions: 0 }, /^limits\.sessions must be a whole number from 1 to \d+, got 0$/],
    [{ waiters: 1.5 }, /^limits\.waiters .* got 1\.5$/],
    [{ streams: Infinity }, /^limits\.streams .* got Infinity$/],
    [
      { headersTimeout: 20_000 },
      /^limits\.headersTimeout must be at most limits\.requestTimeout \(15000 ms\), got 20000$/,
    ],
    [{ sesions: 5 } as SidecarLimits, /sesions.*did you mean sessions\?/],
  ])('that is wrong is refused: %j', async (limits, message) => {
    await expect(startSidecar({ connect: { servers: server.url }, limits })).rejects.toThrow(message);
  });
});

describe('beyond the limit of', () => {
  it('sessions there is a 503, until one ends', async () => {
    await using({ sessions: 2 }, async (client) => {
      const open = (): Promise<Answer<SessionView>> => client.post<SessionView>('/v1/sessions');
      const [first] = [await open(), await open()];
      const refused = await fetch(`${client.url}/v1/sessions`, { method: 'POST' });
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await open()).toMatchObject(FULL);
      await client.call('DELETE', `/v1/sessions/${first.body.id}`);
      expect((await open()).status).toBe(201);
    });
  });

  it('permits there is a 503, until one is given back', async () => {
    await using({ permits: 2 }, async (client) => {
      const take = (): Promise<Answer<PermitView>> =>
        client.post<PermitView>('/v1/semaphores/bounded/permits', { slots: 5, timeout: 0 });
      const [first] = [await take(), await take()];
      expect(await take()).toMatchObject(FULL);
      await client.call('DELETE', `/v1/permits/${first.body.id}`);
      expect((await take()).status).toBe(201);
    });
  });

  it('waiters there is a 503, until one hangs up', async () => {
    await using({ waiters: 3 }, async (client) => {
      await client.post('/v1/mutexes/queued/permits');
      const waiting = [1, 2, 3].map(() => client.begin('POST', '/v1/mutexes/queued/permits'));
      await eventually(async () => expect(await gauge(client, 'waiting')).toBe(3));
      expect(await client.post('/v1/mutexes/free/permits')).toMatchObject(FULL);
      expect((await client.get('/healthz')).status).toBe(200);
      waiting[0]?.hangUp();
      await eventually(async () => expect((await client.post('/v1/mutexes/free/permits')).status).toBe(201));
      for (const caller of waiting) caller.hangUp();
    });
  });

  it('event streams there is a 503, of those of one address a 429, until one is closed', async () => {
    for (const [limits, expected] of [
      [{ streams: 2 }, FULL],
      [
        { streamsPerAddress: 2 },
        {
          status: 429,
          body: { code: 'TOO_MANY_STREAMS', detail: expect.stringContaining('127.0.0.1 has 2') },
        },
      ],
    ] as const) {
      await using(limits, async (client) => {
        const session = (await client.post<SessionView>('/v1/sessions')).body;
        const streams = [client.stream('/v1/events'), client.stream('/v1/mutexes/a/events')];
        await streams[0]?.event('snapshot');
        await streams[1]?.event('status');
        for (const path of ['/v1/events', '/v1/mutexes/a/events', `/v1/sessions/${session.id}/events`]) {
          expect({ path, ...(await client.get(path)) }).toMatchObject(expected);
        }
        // The session goes on: its stream has never been open.
        expect((await client.get(`/v1/sessions/${session.id}`)).status).toBe(200);
        streams[0]?.hangUp();
        await eventually(() => client.stream('/v1/events').event('snapshot'));
      });
    }
  });

  it('connections there is a 503, but an answer to probes', async () => {
    await using({ connections: 3 }, async (client) => {
      const idle = [1, 2, 3].map(() => raw(client));
      await Promise.all(idle.map((socket) => once(socket, 'connect')));
      const ask = async (path: string): Promise<number> => client.begin('GET', path).status();
      await eventually(async () => expect(await ask('/v1/primitives')).toBe(503));
      expect(await ask('/healthz')).toBe(200);
      expect(await ask('/readyz')).toBe(200);
      const text = await answerOf(raw(client, 'GET /v1/primitives HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n'));
      expect(text).toMatch(/^HTTP\/1\.1 503 .*retry-after: \d+.*"code":"SIDECAR_FULL"/s);
      // One that asks nothing gives way as well.
      await once(raw(client), 'close');
      for (const socket of idle) socket.destroy();
      await eventually(async () => expect(await ask('/v1/primitives')).toBe(200));
    });
  });

  it('names there is one time series for all the others', async () => {
    await using({ metricNames: 3 }, async (client) => {
      for (let n = 0; n < 30; n++) {
        const { body } = await client.post<PermitView>(`/v1/mutexes/name-${n}/permits`);
        await client.call('DELETE', `/v1/permits/${body.id}`);
      }
      const { body } = await client.get<string>('/metrics');
      const names = new Set([...body.matchAll(/semaphore_name="([^"]*)"/g)].map(([, name]) => name));
      expect(names).toEqual(new Set(['name-0', 'name-1', 'name-2', '(other)']));
      expect(body).toMatch(/^nats_semaphore_acquire_duration\w*_count\{.*name="\(other\)".*\} 27$/m);
      // Boundaries are those that the library advises.
      expect(body).toMatch(/^nats_semaphore_acquire_duration\w*_bucket\{.*le="0\.0001"/m);
    });
  });
});

describe('a request that does not come in', () => {
  const POST = 'POST /v1/sessions HTTP/1.1\r\nhost: 127.0.0.1\r\n';
  it.each([
    [
      'a body that never ends',
      `${POST}content-type: application/json\r\ncontent-length: 3000\r\n\r\n`,
      408,
      'REQUEST_TIMEOUT',
    ],
    [
      'a body in chunks',
      `${POST}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n`,
      408,
      'REQUEST_TIMEOUT',
    ],
    ['headers that never end', POST, 408, 'REQUEST_TIMEOUT'],
    ['a connection that says nothing', '', 408, 'REQUEST_TIMEOUT'],
    ['headers that are too long', `${POST}x: ${'x'.repeat(9_000)}\r\n\r\n`, 431, 'HEADERS_TOO_LARGE'],
    ['something else', 'HELO example.com\r\n\r\n', 400, 'INVALID_REQUEST'],
    [
      'a body that is too long',
      `${POST}content-type: application/json\r\ncontent-length: 3001\r\n\r\n`,
      413,
      'BODY_TOO_LARGE',
    ],
  ])('is refused, and its connection closed: %s', async (_, text, status, code) => {
    const limits = {
      bodyBytes: 3_000,
      headerBytes: 8_000,
      headersTimeout: 500,
      requestTimeout: 1_000,
      idleTimeout: 500,
    };
    await using(limits, async (client) => {
      const answer = await answerOf(raw(client, text));
      expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      expect(answer).toMatch(/application\/problem\+json/);
      expect(answer).toContain(`"code":"${code}"`);
    });
  });

  it('does not bound how long an answer may take', async () => {
    await using({ headersTimeout: 300, requestTimeout: 300, idleTimeout: 300 }, async (client) => {
      const { body } = await client.post<PermitView>('/v1/mutexes/slow/permits');
      const waiting = client.post('/v1/mutexes/slow/permits', { timeout: 60_000 });
      await eventually(async () => expect(await gauge(client, 'waiting')).toBe(1));
      // Longer than all of the bounds, and than the sidecar takes to look for them.
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      await client.call('DELETE', `/v1/permits/${body.id}`);
      expect((await waiting).status).toBe(201);
    });
  });
});

describe('a reader that does not read', () => {
  const GET = 'GET /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n';

  it.each<[string, SidecarLimits]>([
    ['after the time without progress', { streamStall: 500 }],
    ['at the bound of what waits', { streamStall: 600_000, streamBytes: 300_000 }],
  ])('loses its stream %s, while one that reads is told everything', async (_, limits) => {
    await using beside = await NatsDispatcher.connect({ servers: server.url, holder: 'beside' });
    await using(limits, async (client) => {
      const semaphore = beside.semaphore('big', 50);
      const metadata = { job: 'x'.repeat(4_000) };
      const held = await Promise.all(Array.from({ length: 40 }, () => semaphore.acquire({ metadata })));
      const reading = client.stream('/v1/events');
      await reading.event('snapshot');
      const deaf = Array.from({ length: 5 }, () => raw(client, GET).pause());
      await eventually(async () => expect(await gauge(client, 'streams')).toBe(6));
      // Every change is 170 kB; the system takes some megabytes for each reader before any of it waits here.
      await eventually(async () => {
        await (await semaphore.acquire()).release();
        expect(await gauge(client, 'streams')).toBe(1);
      }, 120_000);
      expect(await gauge(client, 'streams_dropped_total')).toBe(5);
      for (const permit of held) await permit.release();
      type Change = { changed: { name: string; available: number }[] };
      await reading.event<Change>('change', ({ changed }) =>
        changed.some(({ name, available }) => name === 'big' && available === 50),
      );
      reading.hangUp();
      for (const socket of deaf) socket.destroy();
    });
  });
});

it('many probes are one request to the server', async () => {
  await using(
    {},
    async (client) => {
      expect((await client.get('/readyz')).status).toBe(200);
      const before = (await totals(server)).sent;
      const probes = await Promise.all(Array.from({ length: 200 }, () => client.get('/readyz')));
      expect(new Set(probes.map(({ status }) => status))).toEqual(new Set([200]));
      expect((await totals(server)).sent - before).toBeLessThan(100);
    },
    { timeline: false },
  );
});

describe('without what operators do', () => {
  it('nothing is released by force, and no limit is changed', async () => {
    await using(
      {},
      async (client) => {
        const path = '/v1/semaphores/theirs/permits';
        const { body } = await client.post<PermitView>(path, { slots: 2 });
        const forced = await client.call('DELETE', `${path}/${body.permitId}`);
        expect(forced).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
        const set = await client.post<ProblemBody>(path, { slots: 3, limitPolicy: 'set' });
        expect(set).toMatchObject({ status: 400, body: { errors: [{ field: 'limitPolicy' }] } });
        expect((await client.get(`/v1/permits/${body.id}`)).status).toBe(200);
        const { body: described } = await client.get<{ paths: Record<string, object> }>('/openapi.json');
        expect(Object.keys(described.paths).filter((each) => /\{name\}.*\{id\}/.test(each))).toEqual([]);
        expect((await client.get<string>('/')).body).toContain('data-read-only="true"');
      },
      { operator: false },
    );
  });
});

it('one that only shows stores nothing, whatever is looked at', async () => {
  await using beside = await NatsDispatcher.connect({ servers: server.url });
  const permit = await beside.semaphore('shown', 2).acquire({ ttl: 600_000 });
  await using(
    {},
    async (client) => {
      const before = (await totals(server)).stored;
      const all = client.stream('/v1/events');
      await all.event('snapshot');
      for (const kind of ['semaphores', 'mutexes', 'read-write-locks']) {
        for (const name of ['shown', 'never-heard-of']) {
          expect((await client.get(`/v1/${kind}/${name}`)).status).toBe(200);
          const one = client.stream(`/v1/${kind}/${name}/events`);
          await one.event('status');
          one.hangUp();
        }
      }
      for (const [method, path] of [
        ['POST', '/v1/sessions'],
        ['POST', '/v1/semaphores/shown/permits'],
        ['POST', '/v1/read-write-locks/shown/write/permits'],
        ['DELETE', `/v1/semaphores/shown/permits/${permit.id}`],
        ['PATCH', '/v1/semaphores/shown'],
      ] as const) {
        expect(await client.call(method, path)).toMatchObject({ status: 403, body: { code: 'READ_ONLY' } });
      }
      all.hangUp();
      expect((await totals(server)).stored).toBe(before);
    },
    { readOnly: true },
  );
  await permit.release();
});
