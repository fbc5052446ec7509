import { describe, expect, it } from '@jest/globals';
import type { PermitView } from '../../src/sidecar/permits';
import type { SessionView } from '../../src/sidecar/session';
import { eventually } from '../support/eventually';
import type { ProblemBody } from '../support/sidecar-client';
import { sidecarWorld } from '../support/sidecar-world';

const world = sidecarWorld();

const waiting = (name: string, n: number) =>
  eventually(async () => expect((await world().beside.semaphore(name).status()).waiters).toHaveLength(n));
const held = (name: string, n: number) =>
  eventually(async () => {
    const { holders, waiters } = await world().beside.semaphore(name).status();
    expect({ held: holders.length, waiting: waiters.length }).toEqual({ held: n, waiting: 0 });
  });

describe('a caller that hangs up', () => {
  it('while it waits, waits no more', async () => {
    const { client, beside } = world();
    const permit = await beside.semaphore('left', 1).acquire();
    const callers = Array.from({ length: 5 }, () =>
      client.begin('POST', '/v1/semaphores/left/permits', { fair: true }),
    );
    await waiting('left', 5);
    for (const caller of callers) caller.hangUp();
    await waiting('left', 0);
    await permit.release();
    await held('left', 0);
    expect((await client.get('/v1/semaphores/left')).body).toMatchObject({ available: 1 });
  });

  it('just before the grant leaves nothing behind', async () => {
    const { client, beside } = world();
    const semaphore = beside.semaphore('instant', 1);
    for (let round = 0; round < 60; round++) {
      const permit = await semaphore.acquire({ timeout: 20_000 });
      // What leaked would keep the next round waiting.
      const caller = client.begin('POST', '/v1/semaphores/instant/permits', { ttl: 600_000 });
      await new Promise((resolve) => setTimeout(resolve, 3));
      caller.hangUp();
      if (round % 3 > 0) await new Promise((resolve) => setTimeout(resolve, (round % 10) / 10));
      await permit.release();
    }
    await held('instant', 0);
  });

  it('whenever he does, leaves nothing behind once his session has ended', async () => {
    const { client, beside } = world();
    const semaphore = beside.semaphore('whenever', 120);
    const { id } = (await client.post<SessionView>('/v1/sessions', {})).body;
    const stream = client.stream(`/v1/sessions/${id}/events`);
    await stream.event('session');
    const body = { session: id, ttl: 600_000, slots: 120 };
    const begin = (timeout?: number) =>
      client.begin('POST', '/v1/semaphores/whenever/permits', { ...body, timeout });
    for (let round = 0; round < 100; round++) {
      const caller = begin(5);
      await new Promise((resolve) => setTimeout(resolve, round / 20));
      caller.hangUp();
    }
    // Who was granted one hangs up as well.
    for (let round = 0; round < 20; round++) {
      const caller = begin();
      expect(await caller.status()).toBe(201);
      caller.hangUp();
    }
    await eventually(async () => expect((await semaphore.status()).holders.length).toBeGreaterThan(0));
    stream.hangUp();
    await held('whenever', 0);
  });
});

describe('a session', () => {
  const open = async (ttl?: number): Promise<SessionView> =>
    (await world().client.post<SessionView>('/v1/sessions', { ttl })).body;
  const acquire = (name: string, session: string) =>
    world().client.post<PermitView>(`/v1/semaphores/${name}/permits`, { slots: 5, session, ttl: 600_000 });

  it('releases what it holds when its stream is closed, and who waits in it gives up', async () => {
    const { client } = world();
    const { id } = await open(600_000);
    const stream = client.stream(`/v1/sessions/${id}/events`);
    await stream.event('session');
    for (let n = 1; n <= 5; n++) expect((await acquire('stream', id)).body.session).toBe(true);
    const sixth = acquire('stream', id);
    expect((await client.get<SessionView>(`/v1/sessions/${id}`)).body.permits).toHaveLength(5);
    stream.hangUp();
    await held('stream', 0);
    expect((await sixth).body).toMatchObject({ code: 'SESSION_ENDED', status: 410 });
    expect((await client.get<ProblemBody>(`/v1/sessions/${id}`)).body.code).toBe('SESSION_ENDED');
  });

  it('releases what it holds when it is ended', async () => {
    const { client } = world();
    const { id } = await open();
    const { body } = await acquire('ended', id);
    await held('ended', 1);
    expect((await client.call('DELETE', `/v1/sessions/${id}`)).status).toBe(204);
    await held('ended', 0);
    expect((await client.post<ProblemBody>(`/v1/permits/${body.id}/renew`)).body.code).toBe(
      'PERMIT_RELEASED',
    );
  });

  it('ends when there is no sign of life within its ttl, and not before', async () => {
    const { client } = world();
    const { id } = await open(4_000);
    await acquire('silent', id);
    for (let n = 0; n < 5; n++) {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      expect((await client.post(`/v1/sessions/${id}/keepalive`)).status).toBe(200);
    }
    await held('silent', 1);
    await held('silent', 0);
    expect((await client.post<ProblemBody>(`/v1/sessions/${id}/keepalive`)).body.code).toBe('SESSION_ENDED');
  });

  it('keeps its permits beyond their ttl', async () => {
    const { client } = world();
    const { id } = await open(600_000);
    const { body } = await client.post<PermitView>('/v1/mutexes/kept/permits', { session: id, ttl: 3_000 });
    await new Promise((resolve) => setTimeout(resolve, 4_500));
    expect((await client.get(`/v1/permits/${body.id}`)).status).toBe(200);
    await client.call('DELETE', `/v1/sessions/${id}`);
  });

  it('is told of a permit that is lost', async () => {
    const { client, beside } = world();
    const { id } = await open();
    const stream = client.stream(`/v1/sessions/${id}/events`);
    await stream.event('session');
    const { body } = await acquire('taken', id);
    await beside.semaphore('taken').forceRelease(body.permitId);
    await stream.event<{ id: string }>('lost', (lost) => lost.id === body.id);
    await client.call('DELETE', `/v1/sessions/${id}`);
    await stream.event('ended');
    await stream.ended;
  });
});
