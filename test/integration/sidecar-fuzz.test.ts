import { METHODS, request } from 'node:http';
import { connect } from 'node:net';
import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { eventually } from '../support/eventually';
import { sidecarWorld } from '../support/sidecar-world';

const world = sidecarWorld({ limits: { requestTimeout: 2_000, headersTimeout: 2_000 } });
const ANSWER_MS = 3_000;
/** What is documented beside refusals: NATS refuses something, or the sidecar is full. */
const ALLOWED = new Set([502, 503]);

const step = fc.oneof(
  fc.constantFrom(
    ...[
      'v1',
      'semaphores',
      'mutexes',
      'read-write-locks',
      'permits',
      'sessions',
      'events',
      'renew',
      'release',
    ],
    ...[
      'keepalive',
      'read',
      'write',
      'primitives',
      'healthz',
      'readyz',
      'metrics',
      'openapi.json',
      'page',
      'a',
    ],
    ...['', '.', '..', '%00', '%2F', '%zz', '%F0%9F', '__proto__', 'constructor', '*', '>', '%20'],
  ),
  fc.string({ maxLength: 40, unit: 'binary' }).map((text) => encodeURIComponent(text.toWellFormed())),
  fc.string({ minLength: 200, maxLength: 1_200 }).map((text) => encodeURIComponent(text).slice(0, 1_200)),
);
const known = fc
  .record({
    path: fc.constantFrom(
      ...[
        'semaphores/*',
        'semaphores/*/permits',
        'mutexes/*/permits',
        'read-write-locks/*/read/permits',
        'mutexes/*/events',
      ],
      ...[
        'permits/*',
        'permits/*/renew',
        'permits/*/release',
        'sessions',
        'sessions/*',
        'sessions/*/keepalive',
        'sessions/*/events',
      ],
      ...['semaphores/*/permits/*', 'events', 'primitives'],
    ),
    name: step,
  })
  .map(({ path, name }) => `/v1/${path.replaceAll('*', () => name)}`);
const path = fc.oneof(
  { weight: 3, arbitrary: known },
  fc.array(step, { maxLength: 6 }).map((steps) => `/${steps.join('/')}`),
);
const query = fc.oneof(
  fc.constant(''),
  fc.webQueryParameters().map((text) => `?${text}`),
);

/** Fields that routes know, with values right and wrong. Waits are short. */
const fields = fc.record(
  {
    timeout: fc.oneof(fc.integer({ min: -1, max: 20 }), fc.jsonValue({ maxDepth: 1 })),
    ttl: fc.oneof(fc.constantFrom(1_000, 999, 2 ** 31, 1e308), fc.jsonValue({ maxDepth: 1 })),
    slots: fc.oneof(fc.integer({ min: -1, max: 10_001 }), fc.jsonValue({ maxDepth: 1 })),
    count: fc.oneof(fc.integer({ min: -1, max: 70 }), fc.jsonValue({ maxDepth: 1 })),
    limitPolicy: fc.oneof(fc.constantFrom('error', 'adopt', 'set'), fc.jsonValue({ maxDepth: 1 })),
    fair: fc.oneof(fc.boolean(), fc.jsonValue({ maxDepth: 1 })),
    session: fc.jsonValue({ maxDepth: 1 }),
    metadata: fc.jsonValue({ maxDepth: 2 }),
  },
  { requiredKeys: ['timeout'] },
);
const polite = fc.record(
  {
    timeout: fc.integer({ min: 0, max: 20 }),
    ttl: fc.integer({ min: 1_000, max: 5_000 }),
    fair: fc.boolean(),
    metadata: fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }),
  },
  { requiredKeys: ['timeout'] },
);
const body = fc.oneof(
  { weight: 4, arbitrary: polite.map((value) => JSON.stringify(value)) },
  fc.constant(''),
  fields.map((value) => JSON.stringify(value)),
  fc.json(),
  fc.string({ unit: 'binary' }),
  fc.constant(`${'['.repeat(15_000)}${']'.repeat(15_000)}`),
  fc.constant('{"__proto__":{"timeout":1}}'),
  fc.constant('x'.repeat(40_000)),
);
const odd = fc.dictionary(
  fc.constantFrom(
    'content-type',
    'accept',
    'expect',
    'origin',
    'host',
    'authorization',
    'upgrade',
    'x',
    'content-encoding',
    'accept-version',
  ),
  fc.oneof(
    fc.constantFrom(
      'application/json',
      'text/plain',
      '100-continue',
      'websocket',
      '127.0.0.1',
      'gzip',
      'application/json; charset=x',
    ),
    fc.string({ maxLength: 60 }).map((text) => text.replaceAll(/[^\x21-\x7e]/g, '')),
  ),
  { maxKeys: 3 },
);

const headers = fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, odd);

interface Asked {
  readonly method: string;
  readonly target: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** The status; 0: nothing came, since it waits or streams, or since the connection was closed. */
function ask(url: string, asked: Asked): Promise<number> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const made = request({
      hostname,
      port,
      agent: false,
      method: asked.method,
      path: asked.target,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(asked.body),
        ...asked.headers,
      },
      timeout: ANSWER_MS,
    });
    const done = (status: number): void => {
      resolve(status);
      made.destroy();
    };
    made.on('response', ({ statusCode }) => done(statusCode ?? 0));
    made.on('upgrade', () => done(0));
    made.on('connect', () => done(0));
    made.on('timeout', () => done(0));
    made.on('error', () => done(0));
    made.end(asked.body);
  });
}

it('no request makes it fail', async () => {
  const { client } = world();
  const answered = new Set<number>();
  const method = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('GET', 'POST', 'POST', 'DELETE') },
    fc.constantFrom(...METHODS),
  );
  await fc.assert(
    fc.asyncProperty(method, path, query, headers, body, async (verb, where, asking, sent, text) => {
      const target = where + asking;
      const status = await ask(client.url, { method: verb, target, headers: sent, body: text });
      answered.add(status);
      if (status >= 500 && !ALLOWED.has(status)) throw new Error(`${verb} ${target} was answered ${status}`);
    }),
    { numRuns: 700 },
  );
  // It has got to the routes, not only been turned away before them.
  for (const status of [200, 201, 400, 404]) expect([...answered]).toContain(status);
  expect((await client.get('/healthz')).status).toBe(200);
});

it('no bytes make it fail', async () => {
  const { client } = world();
  const { hostname, port } = new URL(client.url);
  const line = fc.constantFrom(
    'GET / HTTP/1.1\r\n',
    'POST /v1/sessions HTTP/1.1\r\n',
    'host: 127.0.0.1\r\n',
    '\r\n',
    'transfer-encoding: chunked\r\n',
    'content-length: 5\r\n',
    '5\r\n{}\r\n',
  );
  const bytes = fc.oneof(
    line.map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 60 }).map((all) => Buffer.from(all)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(bytes, { maxLength: 8 }), async (parts) => {
      const text = await new Promise<string>((resolve) => {
        const socket = connect(Number(port), hostname, () => {
          for (const part of parts) socket.write(part);
          socket.end();
        });
        let got = '';
        socket.on('data', (data) => (got += data.toString('latin1')));
        socket.on('error', () => undefined);
        socket.once('close', () => resolve(got));
        socket.setTimeout(ANSWER_MS, () => socket.destroy());
      });
      const failed = [...text.matchAll(/HTTP\/1\.1 (5\d\d)/g)].map(([, status]) => Number(status));
      expect(failed.filter((status) => !ALLOWED.has(status))).toEqual([]);
    }),
    { numRuns: 300 },
  );
  expect((await client.get('/healthz')).status).toBe(200);
});

it('what callers left behind is gone: no waiters and no streams', async () => {
  const { client } = world();
  await eventually(async () => {
    const { body: text } = await client.get<string>('/metrics');
    // The requests got as far as to be granted something.
    expect(text).toMatch(/^nats_semaphore_sidecar_acquire_duration_count\{.*outcome="granted".*\} [1-9]/m);
    expect(text).toMatch(/^nats_semaphore_sidecar_waiting(\{.*\})? 0$/m);
    expect(text).toMatch(/^nats_semaphore_sidecar_streams(\{.*\})? 0$/m);
  });
});
