/**
 * `node --import tsx bench/marker-cost.ts`: what removal markers that live as long as what they remove cost in the bucket, and a process
 * that has not heard of one. See docs/performance.md.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { NatsDispatcher } from '../src';
import { TestServer } from '../src/testing';

const NAMES = 1_000;
const TTL_MS = 30_000;
const QUEUE_MS = 12_000;
const WAITERS_EACH = 10;
const CLAIMS = 200;

async function main(): Promise<void> {
  await using server = await TestServer.start();
  const connection = await connect({ servers: server.url });
  const manager = await jetstreamManager(connection);
  await using one = await NatsDispatcher.connect({ servers: server.url });
  await one.ready();
  const say = async (what: string): Promise<void> => console.log(what.padEnd(64), await stateOf(manager));

  await say('a new bucket');
  for (let i = 0; i < NAMES; i++) await (await one.mutex(`m${i}`, { ttl: TTL_MS }).acquire()).release();
  await say(`${NAMES} mutexes locked and released once, ttl ${TTL_MS / 1_000} s`);
  await sleep(TTL_MS + 5_000);
  await say('35 s later');

  const hot = one.mutex('hot', { ttl: TTL_MS });
  for (let i = 0; i < 5_000; i++) await (await hot.acquire()).release();
  await say('one mutex locked and released 5,000 times');

  await using two = await NatsDispatcher.connect({ servers: server.url });
  let grants = 0;
  const end = performance.now() + QUEUE_MS;
  const loops = [one, two].flatMap((dispatcher) => {
    const queue = dispatcher.semaphore('queue', 2, { fair: true, ttl: TTL_MS });
    return Array.from({ length: WAITERS_EACH }, async () => {
      while (performance.now() < end) {
        await (await queue.acquire()).release();
        grants++;
      }
    });
  });
  await Promise.all(loops);
  await say(
    `a fair queue, ${Math.round(grants / (QUEUE_MS / 1_000))} grants a second for ${QUEUE_MS / 1_000} s`,
  );
  await sleep(11_000);
  await say('11 s later');

  for (const [what, marker] of [
    ['on a key without a marker', false],
    ['on a marker that it has not heard of', true],
  ] as const)
    console.log(what.padEnd(64), await firstClaims(server.url, one, marker));
  await connection.close();
}

/** Messages and time of a process's first claim of a name, and of its second. */
async function firstClaims(url: string, other: NatsDispatcher, marker: boolean): Promise<string> {
  const connection = await connect({ servers: url });
  const fresh = new NatsDispatcher(connection);
  await fresh.ready();
  const requests = { first: 0, second: 0 };
  const times = { first: [] as number[], second: [] as number[] };
  for (let i = 0; i < CLAIMS; i++) {
    const name = `${marker ? 'known' : 'new'}${i}`;
    if (marker) await (await other.mutex(name, { ttl: TTL_MS }).acquire()).release();
    const mutex = fresh.mutex(name, { ttl: TTL_MS });
    for (const which of ['first', 'second'] as const) {
      const before = connection.stats().outMsgs;
      const startedAt = performance.now();
      const permit = await mutex.acquire();
      times[which].push(performance.now() - startedAt);
      requests[which] += connection.stats().outMsgs - before;
      await permit.release();
    }
  }
  await fresh.close();
  await connection.close();
  const middle = (some: number[]): string => `${some.sort((a, b) => a - b)[some.length >> 1]?.toFixed(2)} ms`;
  return (['first', 'second'] as const)
    .map((which) => `${which} claim: ${requests[which] / CLAIMS} requests, ${middle(times[which])}`)
    .join('; ');
}

async function stateOf(manager: JetStreamManager): Promise<string> {
  const { state } = await manager.streams.info('KV_SEMAPHORES');
  return `${state.messages} entries, ${Math.round(state.bytes / 1_024)} KiB`;
}

void main();
