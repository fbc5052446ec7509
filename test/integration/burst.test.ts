import { describe, expect, it } from '@jest/globals';
import { NatsDispatcher, type Permit } from '../../src/index';
import { TestServer } from '../../src/testing';
import { serverCounts } from '../support/server-counts';

/** Enough to keep the way to the server full for seconds. */
/** `COUNT=40000 npx jest test/integration/burst` plays it in full. */
const COUNT = Number(process.env.COUNT ?? 10_000);
const BLOCKED_MS = 3_000;
/** A permit that is due for renewal while the burst goes on. */
const LONG_TTL_MS = 30_000;

function blockEventLoop(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

describe.each([false, true])(
  `${COUNT} mutexes at once in one process, event loop blocked meanwhile: %s`,
  (blocked) => {
    it('are all granted, all released, and none is lost', async () => {
      await using server = await TestServer.start();
      await using dispatcher = await NatsDispatcher.connect({ servers: server.url, ttl: 60_000 });
      let lost = 0;
      dispatcher.on('lost', () => lost++);
      const renewed = await dispatcher.mutex('renewed', { ttl: LONG_TTL_MS }).lock();

      const all = async <T>(start: () => Promise<T>[]): Promise<{ results: T[]; sent: number }> => {
        const before = await serverCounts(server);
        const tasks = start();
        if (blocked) setTimeout(() => blockEventLoop(BLOCKED_MS), 200);
        const results = await Promise.all(tasks);
        return { results, sent: (await serverCounts(server)).sent - before.sent };
      };
      const acquired = await all(() =>
        Array.from({ length: COUNT }, (_, i) => dispatcher.mutex(`m${i}`).lock()),
      );
      const released = await all(() => acquired.results.map((permit: Permit) => permit.release()));

      console.log('messages for an acquire and for a release:', acquired.sent / COUNT, released.sent / COUNT);
      expect(released.results.every((wasHeld) => wasHeld)).toBe(true);
      expect(lost).toBe(0);
      expect(renewed.isHeld).toBe(true);
      expect(acquired.sent).toBeLessThanOrEqual(3 * COUNT);
      expect(released.sent).toBeLessThanOrEqual(3 * COUNT);
    });
  },
);
