/**
 * A server drops a file of messages when all of them have gone, and when it is killed it takes what is left for the last entry of a
 * key. So a hold of ten minutes would be back after a shorter one that was written over it, unless the marker of that one stays for as
 * long as the longer hold would have.
 */
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { headers } from '@nats-io/transport-node';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NatsDispatcher } from '../../src';
import { NatsStore } from '../../src/store/nats/nats-store';
import { TestServer } from '../../src/testing';
import type { BucketProbe } from '../support/bucket-probe';
import { RemovalWorld } from '../support/removals';

const LONG_MS = 600_000;
const SHORT_MS = 2_000;
const WAIT_MS = 15_000;
/** A file of the server takes 4 MiB, and the bucket messages of at most 16 KiB. */
const MESSAGE_BYTES = 8 * 1024;
const MESSAGES_PER_FILE = 512;

/** From a hold of ten minutes to a release under a shorter ttl. @returns its second half */
type Shortened = (world: RemovalWorld, name: string) => Promise<() => Promise<void>>;

const WAYS: Readonly<Record<string, Shortened>> = {
  'a permit renewed for a shorter time': async ({ a }, name) => {
    const permit = await a.mutex(name, { ttl: LONG_MS }).acquire();
    return async () => {
      await permit.renew(SHORT_MS);
      await permit.release();
    };
  },
  'the next waiter of the process, with a shorter ttl': ({ a }, name) => handOff(a, a, name, SHORT_MS, false),
  'the next ticket, of another process, with a shorter ttl': ({ a, b }, name) =>
    handOff(a, b, name, 6_000, true),
  'a shorter hold after a release': async ({ a, b }, name) => {
    const permit = await a.mutex(name, { ttl: LONG_MS }).acquire();
    return async () => {
      await permit.release();
      const other = await b.mutex(name, { ttl: SHORT_MS }).acquire({ timeout: WAIT_MS });
      await other.release();
    };
  },
  'a release by force after a shorter renewal': async ({ a, b }, name) => {
    const permit = await a.mutex(name, { ttl: LONG_MS }).acquire();
    const watch = b.mutex(name).watch()[Symbol.asyncIterator]();
    await watch.next();
    return async () => {
      await permit.renew(SHORT_MS);
      await b.mutex(name).forceRelease(permit.id);
      await watch.return?.();
    };
  },
};

async function handOff(
  from: NatsDispatcher,
  to: NatsDispatcher,
  name: string,
  ttl: number,
  fair: boolean,
): Promise<() => Promise<void>> {
  const permit = await from.mutex(name, { ttl: LONG_MS, fair }).acquire();
  const next = to.mutex(name, { ttl, fair }).acquire({ timeout: 2 * WAIT_MS });
  next.catch(() => undefined);
  return async () => {
    await permit.release();
    await (await next).release();
  };
}

/** Writes so many large messages. */
async function fill({ connection, bucket }: BucketProbe, count: number, ttl?: string): Promise<void> {
  const sent = headers();
  if (ttl !== undefined) sent.set('Nats-TTL', ttl);
  const text = 'x'.repeat(MESSAGE_BYTES);
  for (let i = 0; i < count; i++) {
    const subject = `$KV.${bucket}.filler.${ttl}-${i}`;
    const answer = await connection.request(subject, text, { headers: sent, timeout: WAIT_MS });
    expect(answer.json()).not.toHaveProperty('error');
  }
}

/** Which of the ways left something that is held, once a server was killed and is back. */
async function heldAgain(): Promise<string[]> {
  await using server = await TestServer.start();
  await using world = await RemovalWorld.open([server.url]);
  const ways = Object.entries(WAYS).map(([title, way], i) => ({ title, way, name: `way-${i}` }));
  const release = await Promise.all(ways.map(({ way, name }) => way(world, name)));
  // The longer holds are in a file that stays; what replaces them is in the next one, of which nothing stays.
  await fill(world.probe, MESSAGES_PER_FILE - 32);
  await fill(world.probe, 64, '1s');
  await Promise.all(release.map((each) => each()));
  await fill(world.probe, MESSAGES_PER_FILE + 64, '1s');
  // The shorter holds and their markers are over, and so are the files that had them.
  await sleep(SHORT_MS + 3_000);
  await server.kill();
  await server.restart();
  await using after = await RemovalWorld.open([server.url]);
  const live = new Set(await after.probe.liveKeys());
  return ways.filter(({ name }) => live.has(`mutex.${name}.slot.0`)).map(({ title }) => title);
}

describe('a hold of ten minutes under a shorter one, after a kill of the server', () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('does not come back', async () => {
    expect(await heldAgain()).toEqual([]);
  });

  it('comes back where the marker lives no longer than the shorter hold', async () => {
    jest.spyOn(NatsStore.prototype, 'markerTtl').mockReturnValue(SHORT_MS);
    expect(await heldAgain()).toEqual(Object.keys(WAYS));
  });
});
