import { describe, expect, it } from '@jest/globals';
import type { PermitView } from '../../src/sidecar/permits';
import fc from 'fast-check';
import { anyName } from '../support/any-text';
import { eventually } from '../support/eventually';
import type { ProblemBody } from '../support/sidecar-client';
import { sidecarWorld } from '../support/sidecar-world';

const world = sidecarWorld();
let names = 0;
const fresh = (): string => `api-${++names}`;

describe('a permit', () => {
  it.each([
    ['semaphores', { slots: 2 }],
    ['mutexes', {}],
  ])('of %s is granted, shown, renewed and given back', async (path, body) => {
    const { client, beside } = world();
    const name = fresh();
    const asked = { ttl: 5_000, metadata: { job: 'x' }, ...body };
    const granted = await client.post<PermitView>(`/v1/${path}/${name}/permits`, asked);
    expect(granted.status).toBe(201);
    const { id, permitId, fencingToken } = granted.body;
    expect(granted.body).toMatchObject({ name, ttl: 5_000, session: false });
    const [seen] = (await beside[path === 'mutexes' ? 'mutex' : 'semaphore'](name).status()).holders;
    expect(seen).toMatchObject({ permitId, slots: granted.body.slots, metadata: { job: 'x' } });
    expect(String(seen?.fencingToken)).toBe(fencingToken);

    expect((await client.get(`/v1/permits/${id}`)).body).toMatchObject({ id, name });
    const renewed = await client.post<PermitView>(`/v1/permits/${id}/renew`, { ttl: 60_000 });
    expect(renewed.body.remaining).toBeGreaterThan(10_000);
    const status = await client.get<{ holders: unknown[] }>(`/v1/${path}/${name}`);
    expect(status.body.holders).toHaveLength(1);

    expect((await client.call('DELETE', `/v1/permits/${id}`)).body).toEqual({ released: true });
    expect((await client.call('DELETE', `/v1/permits/${id}`)).body).toEqual({ released: false });
    expect((await client.post<ProblemBody>(`/v1/permits/${id}/renew`)).body).toMatchObject({
      status: 410,
      code: 'PERMIT_RELEASED',
    });
    expect((await client.get<{ holders: unknown[] }>(`/v1/${path}/${name}`)).body.holders).toEqual([]);
  });

  it('of several slots is given back bit by bit', async () => {
    const { client } = world();
    const name = fresh();
    const { body } = await client.post<PermitView>(`/v1/semaphores/${name}/permits`, { slots: 5, count: 3 });
    expect(body.slots).toHaveLength(3);
    expect((await client.post(`/v1/permits/${body.id}/release`, { count: 2 })).body).toEqual({
      released: true,
    });
    expect((await client.get(`/v1/semaphores/${name}`)).body).toMatchObject({ available: 4 });
    expect((await client.post(`/v1/permits/${body.id}/release`)).body).toEqual({ released: true });
    expect((await client.get(`/v1/semaphores/${name}`)).body).toMatchObject({ available: 5 });
  });

  it('is waited for, and granted when one is given back', async () => {
    const { client } = world();
    const name = fresh();
    const first = await client.post<PermitView>(`/v1/mutexes/${name}/permits`);
    const second = client.post<PermitView>(`/v1/mutexes/${name}/permits`, { timeout: 30_000, fair: true });
    await eventually(async () => {
      const { body } = await client.get<{ waiters: unknown[] }>(`/v1/mutexes/${name}`);
      expect(body.waiters).toHaveLength(1);
    });
    await client.call('DELETE', `/v1/permits/${first.body.id}`);
    const { status, body } = await second;
    expect(status).toBe(201);
    expect(BigInt(body.fencingToken)).toBeGreaterThan(BigInt(first.body.fencingToken));
    await client.call('DELETE', `/v1/permits/${body.id}`);
  });

  it('is refused when it is not to be had in time', async () => {
    const { client } = world();
    const name = fresh();
    await client.post(`/v1/mutexes/${name}/permits`);
    for (const timeout of [0, 2_000]) {
      const refused = await client.post<ProblemBody>(`/v1/mutexes/${name}/permits`, { timeout });
      expect(refused.type).toContain('application/problem+json');
      expect(refused.body).toMatchObject({ status: 409, code: 'ACQUIRE_TIMEOUT' });
    }
  });

  it('that was not renewed is lost, and says so', async () => {
    const { client } = world();
    const name = fresh();
    const { body } = await client.post<PermitView>(`/v1/mutexes/${name}/permits`, { ttl: 1_000 });
    await eventually(async () => {
      const shown = await client.get<ProblemBody>(`/v1/permits/${body.id}`);
      expect(shown.body).toMatchObject({ status: 410, code: 'PERMIT_LOST' });
    });
    for (const [method, path] of [
      ['POST', '/renew'],
      ['POST', '/release'],
      ['DELETE', ''],
    ] as const) {
      const answer = await client.call<ProblemBody>(method, `/v1/permits/${body.id}${path}`);
      expect(answer.body).toMatchObject({ status: 410, code: 'PERMIT_LOST' });
    }
  });

  it('is taken away by force', async () => {
    const { client } = world();
    const name = fresh();
    const { body } = await client.post<PermitView>(`/v1/semaphores/${name}/permits`, { slots: 1 });
    const path = `/v1/semaphores/${name}/permits/${body.permitId}`;
    expect((await client.call('DELETE', path)).body).toEqual({ released: true });
    expect((await client.call('DELETE', path)).body).toEqual({ released: false });
    await eventually(async () =>
      expect((await client.post(`/v1/permits/${body.id}/renew`)).status).toBe(410),
    );
  });

  it('goes with its primitive, which is removed only by force while it is held', async () => {
    const { client } = world();
    const name = fresh();
    const { body } = await client.post<PermitView>(`/v1/semaphores/${name}/permits`, { slots: 1 });
    const path = `/v1/semaphores/${name}`;
    expect((await client.call('DELETE', path)).body).toMatchObject({ status: 409, code: 'IN_USE' });
    expect((await client.call('DELETE', `${path}?forced=true`)).status).toBe(400);
    expect((await client.call('DELETE', `${path}?force=true`)).body).toEqual({ removed: true });
    await eventually(async () =>
      expect((await client.post(`/v1/permits/${body.id}/renew`)).status).toBe(410),
    );
    await eventually(async () =>
      expect((await client.call('DELETE', path)).body).toEqual({ removed: false }),
    );
  });

  it('reads with others, and writes alone', async () => {
    const { client } = world();
    const path = `/v1/read-write-locks/${fresh()}`;
    const acquire = (side: string) => client.post<PermitView>(`${path}/${side}/permits`, { timeout: 0 });
    const readers = [await acquire('read'), await acquire('read')];
    expect(readers.map(({ status, body }) => [status, body.mode])).toEqual([
      [201, 'read'],
      [201, 'read'],
    ]);
    expect((await acquire('write')).status).toBe(409);
    expect(
      (await client.get<{ holders: { mode: string }[] }>(path)).body.holders.map(({ mode }) => mode),
    ).toEqual(['read', 'read']);
    for (const { body } of readers) await client.call('DELETE', `/v1/permits/${body.id}`);
    const writer = await acquire('write');
    expect(writer.body).toMatchObject({ mode: 'write', kind: 'read-write-lock' });
    expect((await acquire('read')).status).toBe(409);
    expect((await client.call('DELETE', `${path}/permits/${writer.body.permitId}`)).body).toEqual({
      released: true,
    });
    expect((await acquire('neither')).body).toMatchObject({ errors: [{ field: 'side' }] });
  });

  it('can be of a semaphore of any name', async () => {
    const { client, beside } = world();
    for (const name of [
      '/config.json',
      'payment:daily',
      '用户 a%2Fb',
      '*',
      '>',
      'a.b',
      '?x=1#y',
      ...fc.sample(anyName, 30),
    ]) {
      // Clients take these two, however written, for steps within the path.
      if (name === '.' || name === '..') continue;
      const path = `/v1/semaphores/${encodeURIComponent(name)}`;
      const { status, body } = await client.post<PermitView>(`${path}/permits`, { slots: 1 });
      expect({ name, status, said: body.name }).toEqual({ name, status: 201, said: name });
      expect((await beside.semaphore(name).status()).holders).toHaveLength(1);
      expect((await client.get(path)).body).toMatchObject({ name, available: 0 });
      await client.call('DELETE', `/v1/permits/${body.id}`);
    }
  });
});

describe('bad input', () => {
  it.each<[string, string, unknown, string[]]>([
    ['slots', 'semaphores', { slots: 0 }, ['slots']],
    ['text for a number', 'semaphores', { slots: '3' }, ['slots']],
    ['more slots than may be', 'semaphores', { slots: 10_001 }, ['slots']],
    ['count', 'semaphores', { count: 1.5 }, ['count']],
    ['more than there are', 'semaphores', { slots: 2, count: 3 }, ['count']],
    ['ttl', 'mutexes', { ttl: 999 }, ['ttl']],
    ['timeout', 'mutexes', { timeout: -1 }, ['timeout']],
    ['session', 'mutexes', { session: 'nobody' }, ['session']],
    ['fair', 'mutexes', { fair: 'yes' }, ['fair']],
    ['metadata', 'mutexes', { metadata: { job: 1 } }, ['metadata.job']],
    ['too much metadata', 'mutexes', { metadata: { job: 'x'.repeat(5_000) } }, ['metadata']],
    ['limitPolicy', 'semaphores', { limitPolicy: 'maybe' }, ['limitPolicy']],
    ['a field that is not known', 'mutexes', { tll: 5_000 }, ['tll']],
    ['a mutex has no slots', 'mutexes', { slots: 2 }, ['slots']],
    ['several at once', 'semaphores', { ttl: 1, count: 0, x: 1 }, ['count', 'ttl', 'x']],
    ['no object', 'mutexes', [1], ['body']],
    ['null', 'mutexes', null, ['body']],
  ])('%s is a 400 that names the field', async (_, path, body, fields) => {
    const { client } = world();
    const { status, type, body: problem } = await client.post<ProblemBody>(`/v1/${path}/bad/permits`, body);
    expect({ status, code: problem.code, type }).toMatchObject({ status: 400, code: 'INVALID_REQUEST' });
    expect(type).toContain('application/problem+json');
    expect(problem.errors?.map(({ field }) => field).sort()).toEqual(fields);
  });

  it.each([
    ['mutexes/bad/permits', { tll: 5_000 }, 'tll', 'is not known; did you mean ttl?'],
    ['semaphores/bad/permits', { colour: 'red' }, 'colour', 'is not known'],
    ['sessions', { expiry: 5_000 }, 'expiry', 'is not known; did you mean ttl?'],
    ['permits/x/release', { cuont: 1 }, 'cuont', 'is not known; did you mean count?'],
  ])(
    'that is not known to %s is a 400 that names the one that was meant: %j',
    async (path, body, field, message) => {
      const { client } = world();
      const answer = await client.post<ProblemBody>(`/v1/${path}`, body);
      expect(answer).toMatchObject({ status: 400, body: { errors: [{ field, message }] } });
    },
  );

  it.each([
    ['a name that is too long', `/v1/mutexes/${'x'.repeat(257)}/permits`],
    ['a ttl of a renewal', '/v1/permits/x/renew'],
    ['a ttl of a session', '/v1/sessions'],
  ])('%s', async (_, path) => {
    const { client } = world();
    const body = path.includes('mutexes') ? {} : { ttl: 1 };
    const answer = await client.post<ProblemBody>(path, body);
    expect(answer.status).toBe(400);
    expect(answer.body.errors?.map(({ field }) => field)).toEqual([
      path.includes('mutexes') ? 'name' : 'ttl',
    ]);
  });

  it('that is no JSON, or does not say so, is refused', async () => {
    const { client } = world();
    const send = async (body: string, type: string): Promise<ProblemBody> =>
      (await (
        await fetch(`${client.url}/v1/mutexes/bad/permits`, {
          method: 'POST',
          body,
          headers: { 'content-type': type },
        })
      ).json()) as ProblemBody;
    expect(await send('{"ttl":', 'application/json')).toMatchObject({ status: 400, code: 'INVALID_JSON' });
    expect(await send('{}', 'text/plain')).toMatchObject({ status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' });
    expect(await send('a=1', 'application/x-www-form-urlencoded')).toMatchObject({ status: 415 });
    expect(await send(`"${'x'.repeat(70_000)}"`, 'application/json')).toMatchObject({
      status: 413,
      code: 'BODY_TOO_LARGE',
    });
  });

  it('another number of slots than the stored one is a conflict', async () => {
    const { client } = world();
    const name = fresh();
    await client.post(`/v1/semaphores/${name}/permits`, { slots: 2 });
    const other = await client.post<ProblemBody>(`/v1/semaphores/${name}/permits`, { slots: 3 });
    expect(other.body).toMatchObject({ status: 409, code: 'LIMIT_CONFLICT' });
    const adopted = await client.post(`/v1/semaphores/${name}/permits`, { slots: 3, limitPolicy: 'adopt' });
    expect(adopted.status).toBe(201);
  });

  it('what is not there is a 404', async () => {
    const { client } = world();
    for (const path of ['/v1/permits/none', '/v1/sessions/none', '/v2', '/v1/semaphores']) {
      expect((await client.get<ProblemBody>(path)).body).toMatchObject({ status: 404, code: 'NOT_FOUND' });
    }
    expect((await client.get<ProblemBody>('/v1/%zz')).body).toMatchObject({
      status: 400,
      code: 'INVALID_URL',
    });
  });
});

describe('what there is', () => {
  it('is listed, and told as it changes', async () => {
    const { client, beside } = world();
    const name = fresh();
    type Status = { name: string; kind: string; available: number };
    const one = client.stream(`/v1/semaphores/${name}/events`);
    await one.event<Status>('status', ({ available }) => available === 1);
    const all = client.stream('/v1/events');
    await all.event('snapshot');
    const permit = await beside.semaphore(name, 2).acquire();
    await one.event<Status>('status', ({ available }) => available === 1);
    type Change = { changed: Status[]; gone: { name: string }[] };
    const has = (available: number) => (change: Change) =>
      change.changed.some((status) => status.name === name && status.available === available);
    await all.event<Change>('change', has(1));
    await permit.release();
    await all.event<Change>('change', has(2));
    await one.event<Status>('status', ({ available }) => available === 2);
    const mutex = await beside.mutex(name).acquire();
    await all.event<Change>('change', ({ changed }) =>
      changed.some((status) => status.name === name && status.kind === 'mutex'),
    );
    await mutex.release();
    await all.event<Change>('change', ({ gone }) => gone.some((ref) => ref.name === name));
    one.hangUp();
    all.hangUp();
    const list = await client.get<{ primitives: Status[] }>('/v1/primitives');
    expect(list.body.primitives).toContainEqual({ name, kind: 'semaphore', slots: 2, held: 0, waiting: 0 });
  });

  it('is described', async () => {
    const { client } = world();
    const { body } = await client.get<{
      openapi: string;
      paths: Record<string, Record<string, { summary: string }>>;
    }>('/openapi.json');
    expect(body.openapi).toMatch(/^3\./);
    expect(Object.keys(body.paths)).toEqual(
      expect.arrayContaining([
        '/v1/semaphores/{name}/permits',
        '/v1/permits/{id}/renew',
        '/v1/events',
        '/readyz',
      ]),
    );
    for (const [path, methods] of Object.entries(body.paths)) {
      for (const { summary } of Object.values(methods)) expect({ path, summary }).toHaveProperty('summary');
    }
  });

  it('is counted', async () => {
    const { client } = world();
    expect((await client.get('/healthz')).body).toEqual({ status: 'ok' });
    expect((await client.get('/readyz')).body).toEqual({ status: 'ready' });
    const { body } = await client.get<string>('/metrics');
    expect(body).toMatch(/^nats_semaphore_sidecar_acquire_duration_count\{.*outcome="granted".*\} [1-9]/m);
    // Of the library.
    expect(body).toMatch(
      /^nats_semaphore_acquire_duration_seconds_count\{|^nats_semaphore_acquire_duration_count\{/m,
    );
    expect(body).toMatch(/^nats_semaphore_sidecar_permits(\{.*\})? \d/m);
  });
});
