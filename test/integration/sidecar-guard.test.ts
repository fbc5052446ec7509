import { describe, expect, it } from '@jest/globals';
import { LocalDispatcher } from '../../src';
import { type Sidecar, type SidecarOptions, startSidecar } from '../../src/sidecar';
import { SidecarClient } from '../support/sidecar-client';

const TOKEN = 'a-token-of-some-length';

async function using(options: SidecarOptions, test: (sidecar: Sidecar) => Promise<void>): Promise<void> {
  await using dispatcher = new LocalDispatcher();
  await using sidecar = await startSidecar({ dispatcher, port: 0, drainTimeout: 0, ...options });
  await test(sidecar);
}

describe('options', () => {
  it.each<[string, SidecarOptions, RegExp]>([
    ['an address of all, without a token', { host: '0.0.0.0' }, /^host "0\.0\.0\.0" .* give a token/],
    ['that of IPv6', { host: '::' }, /^host "::"/],
    ['a name', { host: 'example.com' }, /^host "example\.com"/],
    ['one that only begins like loopback', { host: '127.example.com' }, /^host "127/],
    ['a short token', { token: 'short' }, /^token/],
    ['a token with spaces', { token: 'a token of some length' }, /^token/],
    ['a port', { port: 70_000 }, /^port/],
    ['a drain timeout', { drainTimeout: -1 }, /^drainTimeout/],
  ])('%s is refused', async (_, options, message) => {
    const dispatcher = new LocalDispatcher();
    await expect(startSidecar({ dispatcher, ...options })).rejects.toThrow(message);
    await dispatcher.close();
  });

  it('a port that is taken is an error, and leaves nothing behind', async () => {
    await using({}, async ({ url }) => {
      const dispatcher = new LocalDispatcher();
      const port = Number(new URL(url).port);
      await expect(startSidecar({ dispatcher, port })).rejects.toThrow('EADDRINUSE');
      await dispatcher.close();
    });
  });

  it('all addresses can be listened on with a token', async () => {
    await using({ host: '0.0.0.0', token: TOKEN }, async ({ url }) => {
      const port = new URL(url).port;
      const with_ = new SidecarClient(`http://127.0.0.1:${port}`, { authorization: `Bearer ${TOKEN}` });
      expect((await with_.get('/v1/primitives')).status).toBe(200);
    });
  });
});

describe('a token', () => {
  it('is asked for wherever there is something to see', async () => {
    await using({ token: TOKEN }, async ({ url }) => {
      for (const headers of [
        {},
        { authorization: 'Bearer something-else-entirely' },
        { authorization: TOKEN },
      ]) {
        const client = new SidecarClient(url, headers as Record<string, string>);
        for (const path of [
          '/v1/primitives',
          '/v1/events',
          '/metrics',
          '/openapi.json',
          '/v1/mutexes/a',
          '/v1/none',
          '//v1/primitives',
        ]) {
          expect({ path, ...(await client.get(path)) }).toMatchObject({
            status: 401,
            body: { code: 'UNAUTHORIZED' },
          });
        }
        for (const path of ['/', '/healthz', '/readyz', '/page/page.js']) {
          expect({ path, status: (await client.get(path)).status }).toEqual({ path, status: 200 });
        }
      }
    });
  });
});

describe('pages of other sites', () => {
  it.each([
    ['a name that was made to point here', { host: 'evil.example' }, 421],
    ['the same with a port', { host: 'evil.example:80' }, 421],
    ['localhost', { host: 'localhost:1234' }, 200],
    ['IPv6', { host: '[::1]:1234' }, 200],
    ['another origin', { origin: 'https://evil.example' }, 403],
    ['another port of this machine', { origin: 'http://localhost:1' }, 403],
    ['an origin that may not be told', { origin: 'null' }, 403],
    ['a request across sites', { 'sec-fetch-site': 'cross-site' }, 403],
    ['a request of its own page', { 'sec-fetch-site': 'same-origin' }, 200],
  ])('%s', async (_, headers, status) => {
    await using({}, async ({ url }) => {
      const client = new SidecarClient(url);
      for (const [method, path] of [
        ['GET', '/v1/primitives'],
        ['POST', '/v1/sessions'],
      ] as const) {
        const expected = method === 'POST' && status === 200 ? 201 : status;
        expect(await client.begin(method, path, undefined, headers).status()).toBe(expected);
      }
    });
  });

  it('other names can be allowed', async () => {
    await using({ allowedHosts: ['sidecar.internal'] }, async ({ url }) => {
      const status = (host: string) =>
        new SidecarClient(url).begin('GET', '/healthz', undefined, { host }).status();
      expect(await status('sidecar.internal')).toBe(200);
      expect(await status('other.internal')).toBe(421);
    });
  });
});

it('one that only shows changes nothing', async () => {
  await using({ readOnly: true }, async ({ url }) => {
    const client = new SidecarClient(url);
    expect((await client.post('/v1/mutexes/a/permits')).body).toMatchObject({
      status: 403,
      code: 'READ_ONLY',
    });
    expect((await client.call('DELETE', '/v1/mutexes/a/permits/x')).status).toBe(403);
    expect((await client.get('/v1/mutexes/a')).status).toBe(200);
  });
});
