/**
 * A server that is killed rebuilds its keys from what its files still have. Whatever was removed before must stay removed, for any
 * ttl and however long the server rested.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { NatsStore } from '../../src/store/nats/nats-store';
import { MARKER_TTL_MS } from '../../src/store/store';
import { TestCluster, TestServer } from '../../src/testing';
import { eventually } from '../support/eventually';
import { RemovalWorld, Removals, WAYS } from '../support/removals';

const TTLS = [5_000, 30_000, 600_000];
const RESTS = [0, 1_000, 3_000, 15_000];

const NOTHING = { values: [], taken: [] };

/** In which a server that is back removes entries whose TTL is over, and was when it died; it takes 250 ms. */
const EXPIRED_WITHIN_MS = 5_000;

/** What is there of what was removed, once nothing more of it goes by itself: at most after `waitMs`. */
async function found(
  removals: Removals,
  servers: readonly string[],
  replicas = 1,
  waitMs = EXPIRED_WITHIN_MS,
) {
  await using world = await RemovalWorld.open(servers, replicas);
  const nothing = async (): Promise<void> => expect(await removals.left(world.probe)).toEqual([]);
  await eventually(nothing, waitMs).catch(() => undefined);
  const values = await removals.left(world.probe);
  return { values, taken: await removals.taken(world.a) };
}

/** What a single server has again that is killed after a rest. */
async function killedAfter(restMs: number) {
  await using server = await TestServer.start();
  await using world = await RemovalWorld.open([server.url]);
  const removals = await Removals.make(world, TTLS);
  await sleep(restMs);
  await server.kill();
  await server.restart();
  // Awaited here: the server goes with this function.
  return await found(removals, [server.url]);
}

/** What three servers have again that are killed one by one, and all at once: after a rest, and while clients are at work. */
async function clusterKilled(cluster: TestCluster): Promise<object[]> {
  await using world = await RemovalWorld.open(cluster.urls, 3);
  const { servers, urls } = cluster;
  const again = async (some: readonly TestServer[]): Promise<void> => {
    await Promise.all(some.map((server) => server.kill()));
    await Promise.all(some.map((server) => server.restart()));
  };
  const removals = await Removals.make(world, [30_000]);
  await sleep(2 * MARKER_TTL_MS);
  for (const server of servers) await again([server]);
  const inTurn = await found(removals, urls, 3);
  await again(servers);
  const atOnce = await found(removals, urls, 3);
  const load = atWork(world);
  await again(servers.slice(0, 1));
  await again(servers);
  await load.stop();
  await eventually(async () => expect(await removals.left(world.probe)).toEqual([]));
  return [inTurn, atOnce, await found(removals, urls, 3)];
}

/** Two clients that take turns at what is held for no time and would be held for minutes. */
function atWork({ a, b }: RemovalWorld): { stop(): Promise<void> } {
  let working = true;
  const loops = [a, b].flatMap((client) =>
    [true, false].map(async (fair) => {
      const semaphore = client.semaphore(`busy-${fair}`, 2, { ttl: 600_000, fair });
      while (working) {
        const permit = await semaphore.acquire();
        // It goes on, if the server is away for long.
        await permit.release().catch(() => undefined);
      }
    }),
  );
  return {
    stop: async () => {
      working = false;
      await Promise.all(loops);
    },
  };
}

let three: Promise<TestCluster>;

beforeAll(() => {
  three = TestCluster.start();
  three.catch(() => undefined);
});

afterAll(async () => {
  await (await three).stop();
});

describe('with markers of a second', () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('all that was removed is there again', async () => {
    jest.spyOn(NatsStore.prototype, 'markerTtl').mockReturnValue(MARKER_TTL_MS);
    await using server = await TestServer.start();
    await using world = await RemovalWorld.open([server.url]);
    const removals = await Removals.make(world, [30_000]);
    await sleep(2 * MARKER_TTL_MS);
    await server.kill();
    await server.restart();
    const { values, taken } = await found(removals, [server.url], 1, 0);
    expect(removals.waysOf(values)).toEqual(WAYS);
    expect(taken).not.toEqual([]);
  });
});

describe('what was removed does not come back', () => {
  let single: Promise<object[]>;
  let cluster: Promise<object[]>;

  // Side by side, as most of it is rest; but not all of them at work at once.
  beforeAll(() => {
    const each = RESTS.map(killedAfter);
    single = Promise.all(each);
    cluster = (each[0] as Promise<object>).then(async () => clusterKilled(await three));
    for (const run of [single, cluster]) run.catch(() => undefined);
  });

  it('when one server is killed, after any rest', async () => {
    expect(await single).toEqual(RESTS.map(() => NOTHING));
  });

  it('when three are killed, in turn and at once, at rest and at work', async () => {
    expect(await cluster).toEqual([NOTHING, NOTHING, NOTHING]);
  });
});
