import { describe, expect, it } from '@jest/globals';
import { NatsDispatcher } from '../../src';
import type { Overview, PrimitiveStatus } from '../../src/api/overview';
import { TestServer } from '../../src/testing';
import { eventually } from '../support/eventually';
import { randomFrom } from '../support/random';

/** What an overview says, put together from its changes alone. */
class Follower {
  readonly known = new Map<string, PrimitiveStatus>();
  readonly overview: Overview;

  constructor(dispatcher: NatsDispatcher) {
    this.overview = dispatcher.overview({
      changed: () => this.take(),
      failed: (error) => {
        throw error;
      },
    });
  }

  take(): void {
    const { changed, gone } = this.overview.take();
    for (const status of changed) this.known.set(`${status.kind} ${status.name}`, status);
    for (const { kind, name } of gone) expect(this.known.delete(`${kind} ${name}`)).toBe(true);
  }
}

describe('an overview', () => {
  it('shows what the statuses of all say, during and after churn', async () => {
    await using server = await TestServer.start();
    await using dispatcher = await NatsDispatcher.connect({ servers: server.url });
    await using other = await NatsDispatcher.connect({ servers: server.url, ttl: 1_000 });
    const follower = new Follower(dispatcher);
    const next = randomFrom(7);
    const names = Array.from({ length: 12 }, (_, n) => `s${n}`);
    await Promise.all(
      names.map(async (name, n) => {
        const lock =
          n % 3 === 0 ? other.mutex(name) : other.semaphore(name, 1 + (n % 4), { fair: n % 2 === 0 });
        for (let round = 0; round < 15; round++) {
          const left = next() < 0.1;
          const permit = await lock.acquire({ autoRenew: !left });
          if (!left) await permit.release();
        }
      }),
    );
    await other.latch('done', 3).countDown();
    await eventually(async () => {
      const truth = await dispatcher.list();
      expect([...follower.known.keys()].sort()).toEqual(
        truth.map(({ kind, name }) => `${kind} ${name}`).sort(),
      );
      for (const { kind, name } of truth) {
        if (kind !== 'semaphore' && kind !== 'mutex') continue;
        expect(follower.known.get(`${kind} ${name}`)).toEqual(await dispatcher[kind](name).status());
      }
    });
    expect(follower.known.get('latch done')).toEqual(await dispatcher.latch('done').status());
    follower.overview.stop();
  });

  it('goes on after the server was down', async () => {
    await using server = await TestServer.start();
    await using dispatcher = await NatsDispatcher.connect({ servers: server.url, bucket: 'B' });
    await using other = await NatsDispatcher.connect({ servers: server.url, bucket: 'B' });
    const follower = new Follower(dispatcher);
    const permit = await other.semaphore('a', 2).acquire();
    await eventually(() => expect(follower.known.get('semaphore a')).toMatchObject({ available: 1 }));
    await server.kill();
    await server.restart();
    await permit.release();
    await eventually(() => expect(follower.known.get('semaphore a')).toMatchObject({ available: 2 }), 20_000);
    follower.overview.stop();
    await other.semaphore('a').setPermits(5);
    expect(follower.known.get('semaphore a')).toMatchObject({ slots: 2 });
  });

  it('shows a bucket of more entries than one read takes', async () => {
    await using server = await TestServer.start();
    await using dispatcher = await NatsDispatcher.connect({ servers: server.url });
    for (let first = 0; first < 1_200; first += 100) {
      await Promise.all(
        Array.from({ length: 100 }, (_, n) => dispatcher.semaphore(`many-${first + n}`).setPermits(2)),
      );
    }
    const follower = new Follower(dispatcher);
    await eventually(() => expect(follower.known.size).toBe(1_200));
    follower.overview.stop();
  });
});
