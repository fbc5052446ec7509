import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type DispatcherEvents, NatsDispatcher, lockContext } from '../../src';
import { startSidecar } from '../../src/sidecar';
import { TestServer } from '../../src/testing';
import { Proxy } from '../support/proxy';
import { SidecarClient } from '../support/sidecar-client';
import { warningsDuring } from '../support/warnings';

let server: TestServer;

beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server.stop());

/** Runs `work` with a dispatcher whose link can be made to stall. */
async function behindProxy<T>(
  work: (
    dispatcher: NatsDispatcher,
    stall: () => void,
    told: DispatcherEvents['releaseFailed'][],
  ) => Promise<T>,
  listens = true,
): Promise<T> {
  const proxy = await Proxy.start(server.port);
  const dispatcher = await NatsDispatcher.connect({ servers: proxy.url, ttl: 30_000 });
  const told: DispatcherEvents['releaseFailed'][] = [];
  if (listens) dispatcher.on('releaseFailed', (detail) => told.push(detail));
  try {
    return await work(dispatcher, () => proxy.stall(), told);
  } finally {
    proxy.cut();
    await dispatcher.close();
    await proxy.stop();
  }
}

const UNAVAILABLE = expect.objectContaining({ code: 'BACKEND_UNAVAILABLE' });

describe('a release that the server does not acknowledge', () => {
  it('does not take the result of the work away, and is told of, whatever the work held', async () => {
    await behindProxy(async (dispatcher, stall, told) => {
      let begun = 0;
      // All hold before the link stalls.
      const together = async (permit: { id: string }): Promise<string> => {
        if (++begun === 5) stall();
        while (begun < 5) await new Promise((resolve) => setImmediate(resolve));
        return permit.id;
      };
      const ids = await Promise.all([
        dispatcher.semaphore('s').lock(5_000, together),
        dispatcher.mutex('m', { reentrant: true }).lock(5_000, together),
        dispatcher.writeLock('w', 5_000, together),
        lockContext(dispatcher.mutex('c'), { timeout: 5_000 }, together),
        (async () => {
          await using permit = await dispatcher.mutex('u').lock(5_000);
          return await together(permit);
        })(),
      ]);
      const kinds = ['semaphore', 'mutex', 'read-write-lock', 'mutex', 'mutex'];
      const expected = ids.map((permitId, index) => ({
        kind: kinds[index],
        name: 'smwcu'[index],
        permitId,
        error: UNAVAILABLE,
      }));
      expect([...told].sort((a, b) => 'smwcu'.indexOf(a.name) - 'smwcu'.indexOf(b.name))).toEqual(expected);
    });
  });

  it('is a warning if nothing listens, and rejects where it is asked for by hand', async () => {
    await behindProxy(async (dispatcher, stall) => {
      const byHand = await dispatcher.mutex('hand').lock(5_000);
      const warnings = await warningsDuring(async () => {
        const working = dispatcher.mutex('unheard').lock(5_000, () => {
          stall();
          return 'result';
        });
        await Promise.all([
          expect(working).resolves.toBe('result'),
          working.then(() => expect(byHand.release()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' })),
        ]);
      });
      expect(warnings).toMatchObject([
        { code: 'NATS_SEMAPHORE_RELEASE_FAILED', message: expect.stringContaining('"unheard"') },
      ]);
    }, false);
  });

  it('is told of where a sidecar ends what a session holds', async () => {
    await behindProxy(async (dispatcher, stall, told) => {
      await using sidecar = await startSidecar({ dispatcher, port: 0, drainTimeout: 0 });
      const client = new SidecarClient(sidecar.url);
      const session = await client.post<{ id: string }>('/v1/sessions', {});
      const granted = await client.post<{ permitId: string }>('/v1/mutexes/held/permits', {
        session: session.body.id,
      });
      stall();
      const ended = await client.call('DELETE', `/v1/sessions/${session.body.id}`);
      expect(ended.status).toBe(204);
      expect(told).toEqual([
        { kind: 'mutex', name: 'held', permitId: granted.body.permitId, error: UNAVAILABLE },
      ]);
    });
  });
});
