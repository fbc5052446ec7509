import { describe, expect, it } from '@jest/globals';
import type { PermitView } from '../../src/sidecar/permits';
import type { SessionView } from '../../src/sidecar/session';
import { toJson } from '../../src/sidecar/wire';
import type { ProblemBody } from '../support/sidecar-client';
import { sidecarWorld } from '../support/sidecar-world';

const world = sidecarWorld();

async function sessionWithPermit(name: string): Promise<{ session: SessionView; permit: PermitView }> {
  const { client } = world();
  const { body: session } = await client.post<SessionView>('/v1/sessions', { ttl: 600_000 });
  const { body: permit } = await client.post<PermitView>(`/v1/mutexes/${name}/permits`, {
    session: session.id,
  });
  return { session, permit };
}

describe('callers of one sidecar', () => {
  it('have secrets of 128 bits', async () => {
    const { session, permit } = await sessionWithPermit('bits');
    for (const secret of [session.id, permit.id]) expect(secret).toMatch(/^[0-9a-f]{32}$/);
    expect(permit.permitId).not.toContain(permit.id);
  });

  it('see no secret of each other, wherever they look', async () => {
    const { beside, client } = world();
    const all = client.stream('/v1/events');
    const one = client.stream('/v1/mutexes/seen/events');
    const { session, permit } = await sessionWithPermit('seen');
    await all.event<{ changed?: { name: string; holders: unknown[] }[] }>('change', ({ changed }) =>
      JSON.stringify(changed).includes(permit.permitId),
    );
    await one.event('status', (status) => JSON.stringify(status).includes(permit.permitId));
    const looks = ['/v1/mutexes/seen', '/v1/primitives', '/metrics', `/v1/permits/${permit.permitId}`];
    const shown = await Promise.all(looks.map(async (path) => (await client.get<unknown>(path)).body));
    const refused = await client.post('/v1/mutexes/seen/permits', { timeout: 0 });
    const everything = toJson([shown, refused, all.events, one.events, await beside.mutex('seen').status()]);
    expect(everything).toContain(permit.permitId);
    for (const secret of [session.id, permit.id]) expect(everything).not.toContain(secret);
    all.hangUp();
    one.hangUp();
  });

  it('can not renew, release or end what is of another by what the status shows', async () => {
    const { beside, client } = world();
    const { permit } = await sessionWithPermit('kept');
    const [holder] = (await beside.mutex('kept').status()).holders;
    expect(holder?.permitId).toBe(permit.permitId);
    for (const [method, path] of [
      ['GET', `/v1/permits/${permit.permitId}`],
      ['POST', `/v1/permits/${permit.permitId}/renew`],
      ['POST', `/v1/permits/${permit.permitId}/release`],
      ['DELETE', `/v1/permits/${permit.permitId}`],
      ['GET', `/v1/sessions/${permit.permitId}/events`],
      ['DELETE', `/v1/sessions/${permit.id}`],
    ] as const) {
      const { body } = await client.call<ProblemBody>(method, path);
      expect({ method, path, ...body }).toMatchObject({ status: 404, code: 'NOT_FOUND' });
    }
    expect(await beside.mutex('kept').isLocked()).toBe(true);
  });

  it('are not shown a session by one of its permits', async () => {
    const { client } = world();
    const { session, permit } = await sessionWithPermit('own');
    for (const [method, path] of [
      ['GET', ''],
      ['POST', '/renew'],
    ] as const) {
      const { body } = await client.call<PermitView>(method, `/v1/permits/${permit.id}${path}`);
      expect(body.session).toBe(true);
      expect(JSON.stringify(body)).not.toContain(session.id);
    }
  });
});

it('problems do not repeat the secret of the request', async () => {
  const { client } = world();
  const secret = 'f'.repeat(32);
  for (const [method, path] of [
    ['GET', `/v1/permits/${secret}`],
    ['POST', `/v1/permits/${secret}/renew`],
    ['GET', `/v1/sessions/${secret}/events`],
    ['PUT', `/v1/sessions/${secret}`],
  ] as const) {
    const { body } = await client.call<ProblemBody>(method, path);
    expect(body.status).toBe(404);
    expect(JSON.stringify(body)).not.toContain(secret);
  }
  const { body } = await client.post<ProblemBody>('/v1/mutexes/a/permits', { session: secret });
  expect(body).toMatchObject({ status: 400, errors: [{ field: 'session' }] });
  expect(JSON.stringify(body)).not.toContain(secret);
});
