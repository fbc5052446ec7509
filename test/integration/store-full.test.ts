import { connect } from '@nats-io/transport-node';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { NatsDispatcher, type Permit, type SemaphoreError } from '../../src/index';
import { TestServer } from '../../src/testing';
import { scratchDirectory } from '../support/scratch';
import { eventually } from '../support/eventually';

/** What the account may store. */
const ACCOUNT_BYTES = 400_000;
const FILLER_BYTES = 20_000;
const PERMITS = 50;
/** How fast a free slot is to be had once there is room, and what a busy machine adds. */
const SOON_MS = 1_000 + 2_000;

const USER = { user: 'worker', pass: 'a' };
const CONFIG = `
jetstream { store_dir: $NATS_STORE_DIR }
accounts {
  A { jetstream { max_file: ${ACCOUNT_BYTES} }, users: [{ user: worker, password: a }] }
}
no_auth_user: worker
`;
let server: TestServer;
let dispatcher: NatsDispatcher;
let other: NatsDispatcher;

/** Leaves the account no room for any write, by a stream beside the bucket, or makes room again. */
async function setRoom(room: 'none' | 'enough'): Promise<void> {
  const connection = await connect({ servers: server.url, ...USER });
  const manager = await jetstreamManager(connection);
  if (room === 'enough') {
    await manager.streams.delete('FILLER');
  } else {
    await manager.streams.add({ name: 'FILLER', subjects: ['filler'] });
    const stream = jetstream(connection);
    for (let size = FILLER_BYTES; size >= 1; size >>= 1) {
      while (
        await stream.publish('filler', new Uint8Array(size)).then(
          () => true,
          () => false,
        )
      );
    }
  }
  await connection.close();
}

beforeEach(async () => {
  server = await TestServer.start({ config: scratchDirectory().write('account.conf', CONFIG) });
  dispatcher = await NatsDispatcher.connect({ servers: server.url, ...USER, holder: 'holds' });
  other = await NatsDispatcher.connect({ servers: server.url, ...USER, holder: 'waits' });
  await dispatcher.ready();
});

afterEach(async () => {
  await Promise.all([dispatcher.close(), other.close()]);
  await server.stop();
});

describe('while the account is full', () => {
  it('permits that are released are free soon after there is room, and their holders are told no error', async () => {
    const semaphore = dispatcher.semaphore('s', PERMITS, { ttl: 12_000 });
    const permits = await Promise.all(Array.from({ length: PERMITS }, () => semaphore.lock()));
    await setRoom('none');
    // Half of them have a renewal under way, which is given up before it could be stored.
    for (const permit of permits.slice(PERMITS / 2)) permit.renew().catch(() => undefined);
    const released = permits.map((permit) => permit.release());
    // Nothing of it can be stored: all are still taken.
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await other.semaphore('s').availablePermits()).toBe(0);
    await setRoom('enough');
    const since = performance.now();
    expect(await Promise.all(released)).toEqual(permits.map(() => true));
    await eventually(async () => expect(await other.semaphore('s').availablePermits()).toBe(PERMITS));
    expect(performance.now() - since).toBeLessThan(SOON_MS);
  });

  it('a renewal that is refused is sent again, and a permit whose lease runs out meanwhile names the reason', async () => {
    const [kept, lost] = (await Promise.all(
      [6_000, 1_500].map((ttl) => dispatcher.mutex(`m${ttl}`, { ttl }).lock()),
    )) as [Permit, Permit];
    await setRoom('none');
    await eventually(() => expect(lost.isHeld).toBe(false));
    expect((lost.signal.reason as SemaphoreError).cause).toMatchObject({ code: 'STORE_FULL' });
    await setRoom('enough');
    // Longer than its first lease: it was renewed.
    await new Promise((resolve) => setTimeout(resolve, 6_500));
    expect(kept.isHeld).toBe(true);
    expect(await kept.release()).toBe(true);
  });

  it('an acquire waits, names the reason when its time is over, and is granted as soon as there is room', async () => {
    await dispatcher
      .semaphore('s', 1)
      .lock()
      .then((permit) => permit.release());
    await setRoom('none');
    const error = await other
      .semaphore('s', 1)
      .lock(500)
      .catch((e: SemaphoreError) => e);
    expect(error).toMatchObject({ code: 'ACQUIRE_TIMEOUT', cause: { code: 'STORE_FULL' } });
    const waiting = other.semaphore('s', 1).lock(20_000);
    const fresh = other.semaphore('never-used', 3).lock(20_000);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await setRoom('enough');
    const since = performance.now();
    for (const permit of await Promise.all([waiting, fresh])) await permit.release();
    expect(performance.now() - since).toBeLessThan(SOON_MS);
  });

  it('what has no time to wait is refused at once', async () => {
    await setRoom('none');
    await expect(dispatcher.semaphore('s').setPermits(2)).rejects.toMatchObject({ code: 'STORE_FULL' });
    await expect(dispatcher.latch('l', 2).countDown()).rejects.toMatchObject({ code: 'STORE_FULL' });
  });
});
