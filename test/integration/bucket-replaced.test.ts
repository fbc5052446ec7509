import { describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { BucketProbe } from '../support/bucket-probe';
import { monotonicMs } from '../support/monotonic';
import { occupancy } from '../support/occupancy';
import { WorkerProcess } from '../support/worker-process';

/** The first renewal comes after 12 s at the earliest. */
const TTL = 120_000;
/** Who has lost its permit by then was told, and did not find out by a renewal. */
const TOLD_MS = 3_000;
const NAMES = Array.from({ length: 10 }, (_, i) => `n${i}`);
const largest = (tokens: readonly string[]): bigint =>
  tokens.map(BigInt).reduce((a, b) => (a > b ? a : b), 0n);
const least = (tokens: readonly string[]): bigint => tokens.map(BigInt).reduce((a, b) => (a < b ? a : b));

describe('a bucket deleted and made again under live holders', () => {
  it('takes their permits at once, serves those who wait, and grants larger tokens only', async () => {
    await using server = await TestServer.start();
    await using probe = await BucketProbe.open(server.url);
    const [holder, other] = (await WorkerProcess.startAll(2, { url: server.url })) as [
      WorkerProcess,
      WorkerProcess,
    ];
    const held = await Promise.all(NAMES.map((name) => holder.request('acquire', { name, ttl: TTL })));
    const waiting = NAMES.map((name) => other.request('acquire', { name, ttl: TTL }));
    const asked = { name: NAMES[0]!, ttl: TTL, options: { timeout: 2_000 } };
    expect(await other.request('tryAcquire', asked)).toBeNull();

    const deletedAt = monotonicMs();
    await probe.deleteBucket();
    const lost = await Promise.all(held.map(({ permit }) => holder.lost(permit)));
    const granted = await Promise.all(waiting);

    const took = lost.map(({ at }) => at - deletedAt);
    const served = granted.map(({ at }) => at - deletedAt);
    console.log(
      `lost ${Math.max(...took).toFixed(0)} ms after the deletion at the latest, ` +
        `waiters served after ${Math.max(...served).toFixed(0)} ms`,
    );
    expect(lost.every(({ code }) => code === 'PERMIT_LOST')).toBe(true);
    expect(Math.max(...took)).toBeLessThan(TOLD_MS);
    expect(least(granted.map(({ token }) => token))).toBeGreaterThan(largest(held.map(({ token }) => token)));
    // Nothing that the old holders do about their loss touches what is new.
    expect(await Promise.all(held.map(({ permit }) => holder.request('release', { permit })))).toEqual(
      held.map(() => expect.objectContaining({ released: false })),
    );
    for (const { permit } of granted)
      expect(await other.request('state', { permit })).toMatchObject({ isHeld: true, aborted: false });
    // A deletion takes a lock away without asking: what remains is the time it takes to tell its holder.
    expect(occupancy(holder.steps, other.steps).overlaps.filter(({ ms }) => ms > TOLD_MS)).toEqual([]);
  });

  it('while a holder is stopped: it has lost its permit when it goes on', async () => {
    await using server = await TestServer.start();
    await using probe = await BucketProbe.open(server.url);
    const [holder, other] = (await WorkerProcess.startAll(2, { url: server.url })) as [
      WorkerProcess,
      WorkerProcess,
    ];
    const held = await holder.request('acquire', { name: 'n', ttl: TTL });
    holder.kill('SIGSTOP');
    await probe.deleteBucket();
    const granted = await other.request('acquire', { name: 'n', ttl: TTL });
    const continuedAt = holder.kill('SIGCONT');
    const lost = await holder.lost(held.permit);
    console.log(`lost ${(lost.at - continuedAt).toFixed(0)} ms after going on`);
    expect(lost.at - continuedAt).toBeLessThan(TOLD_MS);
    expect(BigInt(granted.token)).toBeGreaterThan(BigInt(held.token));
    expect(await probe.entry('sem.n.slot.0')).toMatchObject({ permit: granted.permit });
  });

  it('while the server was out of reach: the holder has lost its permit after the reconnect', async () => {
    await using server = await TestServer.start();
    const [holder, other] = (await WorkerProcess.startAll(2, { url: server.url })) as [
      WorkerProcess,
      WorkerProcess,
    ];
    const held = await holder.request('acquire', { name: 'n', ttl: TTL });
    // Without its store the server comes back with no bucket at all.
    await server.stop();
    await server.restart();
    const lost = await holder.lost(held.permit, 10_000);
    const granted = await other.request('acquire', { name: 'n', ttl: TTL });
    expect(lost.code).toBe('PERMIT_LOST');
    expect(BigInt(granted.token)).toBeGreaterThan(BigInt(held.token));
  });

  it('only in the words of another client: takes nothing', async () => {
    await using server = await TestServer.start();
    await using probe = await BucketProbe.open(server.url);
    const holder = await WorkerProcess.start({ url: server.url });
    const held = await holder.request('acquire', { name: 'n', ttl: TTL });
    for (const what of ['DELETED', 'UPDATED'])
      probe.connection.publish(`$JS.EVENT.ADVISORY.STREAM.${what}.KV_SEMAPHORES`, '{}');
    await probe.connection.flush();
    // The holder has asked the server about each, and had its answer, before it is done with a write.
    await holder.request('acquire', { name: 'other' });
    await holder.request('flush');
    expect(await holder.request('state', { permit: held.permit })).toMatchObject({
      isHeld: true,
      aborted: false,
    });
  });
});
