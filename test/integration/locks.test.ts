import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { connect } from '@nats-io/transport-node';
import { NatsDispatcher, createLock, getDefaultLockManager, getOrCreateLock, lockContext } from '../../src';
import { TestServer } from '../../src/testing';
import { eventually } from '../support/eventually';

const manager = getDefaultLockManager();
const before = process.env.NATS_URL;
let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start();
  process.env.NATS_URL = server.url;
});

afterEach(async () => {
  await manager.close();
  manager.configure({});
  await server.stop();
  if (before === undefined) delete process.env.NATS_URL;
  else process.env.NATS_URL = before;
});

describe('locks by name, on NATS', () => {
  it('connect by themselves, and exclude other programs', async () => {
    await using other = await NatsDispatcher.connect({ servers: server.url });
    const lock = getOrCreateLock('config', 'nats');
    const permit = await lock.lock(5_000);
    expect(await other.mutex('config').tryAcquire()).toBeNull();
    expect([await lock.isLocked(), (await lock.status()).holders.length]).toEqual([true, 1]);
    for await (const { holders } of lock.watch()) {
      expect(holders[0]?.permitId).toBe(permit.id);
      break;
    }
    await expect(createLock('nats', { name: 'config' }).lock(2_000)).rejects.toMatchObject({
      code: 'ACQUIRE_TIMEOUT',
    });
    expect(await lock.forceRelease(permit.id)).toBe(true);
    await (await other.mutex('config').lock(5_000)).release();
  });

  it('exclude those who use one instance, and let in again who holds it', async () => {
    const lock = getOrCreateLock('config', 'nats', { reentrant: true });
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      await using outer = await lock.lock(20_000);
      most = Math.max(most, ++inside);
      await lockContext(lock, { timeout: 1_000 }, (inner) => expect(inner.id).toBe(outer.id));
      inside--;
    };
    await Promise.all([work(), work(), work()]);
    expect(most).toBe(1);
  });

  it('fail when they can not connect, and try again at the next use', async () => {
    await server.kill();
    const lock = getOrCreateLock('config', 'nats');
    await expect(lock.lock()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    await expect(lock.tryAcquire()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    await server.restart();
    await (await lock.lock(10_000)).release();
    // And reconnect.
    await server.kill();
    await expect(lock.lock(300)).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    await server.restart();
    await (await lock.lock(10_000)).release();
  });

  it('go on within the program while the server is away, if told to', async () => {
    const told: string[] = [];
    manager.configure({ onUnavailable: 'local' });
    const stop = [
      manager.on('degraded', () => told.push('degraded')),
      manager.on('restored', () => told.push('restored')),
    ];
    const lock = getOrCreateLock('config', 'nats');
    await (await lock.lock(5_000)).release();
    await server.kill();
    const permit = await lock.lock(10_000);
    expect(await lock.tryAcquire()).toBeNull();
    expect(told).toEqual(['degraded']);
    await server.restart();
    await eventually(() => expect(told).toEqual(['degraded', 'restored']), 20_000);
    expect(await permit.release()).toBe(true);
    for (const end of stop) end();
  });

  it('use the connection and the bucket they are told to', async () => {
    const connection = await connect({ servers: server.url });
    manager.configure({ connection, bucket: 'OWN' });
    const lock = getOrCreateLock('config', 'nats');
    const permit = await lock.lock(5_000);
    expect(() => manager.configure({})).toThrow('NATS is in use already');
    await using other = await NatsDispatcher.connect({ servers: server.url, bucket: 'OWN' });
    expect(await other.mutex('config').isLocked()).toBe(true);
    await manager.close();
    expect([permit.isHeld, connection.isClosed()]).toEqual([false, false]);
    expect(await other.mutex('config').isLocked()).toBe(false);
    await connection.close();
  });
});
