import { describe, expect, it } from '@jest/globals';
import { NatsDispatcher } from '../../src';
import { startSidecar } from '../../src/sidecar';
import type { PermitView } from '../../src/sidecar/permits';
import type { SessionView } from '../../src/sidecar/session';
import { TestServer } from '../../src/testing';
import { eventually } from '../support/eventually';
import { type ProblemBody, SidecarClient } from '../support/sidecar-client';

describe('a sidecar that is closed', () => {
  it('grants nothing more, lets holders finish, and ends when they have', async () => {
    await using server = await TestServer.start();
    const sidecar = await startSidecar({ connect: { servers: server.url }, port: 0, drainTimeout: 60_000 });
    const client = new SidecarClient(sidecar.url);
    const { body } = await client.post<PermitView>('/v1/mutexes/a/permits');
    const session = (await client.post<SessionView>('/v1/sessions')).body;
    const stream = client.stream(`/v1/sessions/${session.id}/events`);
    await stream.event('session');
    const waiting = client.post<ProblemBody>('/v1/mutexes/a/permits', { timeout: 60_000, fair: true });
    await eventually(async () => {
      const status = await client.get<{ waiters: unknown[] }>('/v1/mutexes/a');
      expect(status.body.waiters).toHaveLength(1);
    });

    const closed = sidecar.close();
    expect((await waiting).body).toMatchObject({ status: 503, code: 'DRAINING' });
    expect((await client.post<ProblemBody>('/v1/mutexes/b/permits')).body.code).toBe('DRAINING');
    expect((await client.post<ProblemBody>('/v1/sessions')).body.code).toBe('DRAINING');
    expect((await client.get('/readyz')).status).toBe(503);
    expect((await client.get('/healthz')).status).toBe(200);
    await stream.event('draining');
    expect((await client.post(`/v1/permits/${body.id}/renew`)).status).toBe(200);
    await client.call('DELETE', `/v1/permits/${body.id}`);
    await closed;
    await stream.ended;
    await expect(client.get('/healthz')).rejects.toThrow();
  });

  it('releases what is still held when the time is over', async () => {
    await using server = await TestServer.start();
    await using beside = await NatsDispatcher.connect({ servers: server.url });
    const sidecar = await startSidecar({ connect: { servers: server.url }, port: 0, drainTimeout: 300 });
    const client = new SidecarClient(sidecar.url);
    const session = (await client.post<SessionView>('/v1/sessions')).body;
    await client.post('/v1/semaphores/a/permits', { slots: 3, ttl: 600_000 });
    await client.post('/v1/semaphores/a/permits', { slots: 3, ttl: 600_000, session: session.id });
    expect((await beside.semaphore('a').status()).holders).toHaveLength(2);
    await Promise.all([sidecar.close(), sidecar.close()]);
    expect((await beside.semaphore('a').status()).holders).toEqual([]);
  });

  it('leaves a dispatcher that it was given open', async () => {
    await using server = await TestServer.start();
    await using dispatcher = await NatsDispatcher.connect({ servers: server.url });
    const sidecar = await startSidecar({ dispatcher, port: 0, drainTimeout: 0 });
    await new SidecarClient(sidecar.url).post('/v1/mutexes/a/permits');
    await sidecar.close();
    expect(await dispatcher.mutex('a').isLocked()).toBe(false);
  });
});

it('a server that is out of reach is a 503, and all is well again when it is back', async () => {
  await using server = await TestServer.start();
  await using sidecar = await startSidecar({ connect: { servers: server.url }, port: 0, drainTimeout: 0 });
  const client = new SidecarClient(sidecar.url);
  const all = client.stream('/v1/events');
  await all.event('snapshot');
  await server.kill();
  await eventually(async () => expect((await client.get('/readyz')).status).toBe(503), 20_000);
  const refused = await client.post<ProblemBody>('/v1/mutexes/a/permits', { timeout: 500 });
  expect(refused.body).toMatchObject({ status: 503, code: 'BACKEND_UNAVAILABLE' });
  await all.event<{ reachable: boolean }>('backend', ({ reachable }) => !reachable);
  await server.restart();
  await all.event<{ reachable: boolean }>('backend', ({ reachable }) => reachable);
  await eventually(async () => expect((await client.get('/readyz')).status).toBe(200), 20_000);
  expect((await client.post('/v1/mutexes/a/permits', { timeout: 20_000 })).status).toBe(201);
  all.hangUp();
});
