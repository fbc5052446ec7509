import { describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { BucketProbe } from '../support/bucket-probe';
import type { WorkerEvent } from '../support/worker';
import { WorkerProcess } from '../support/worker-process';
import { revisionOf } from '../support/token';

type Woke = Extract<WorkerEvent, { type: 'woke' }>;

describe('a holder stopped with SIGSTOP for longer than its ttl', () => {
  it('finds its permit lost when it goes on, and does not touch its successor', async () => {
    await using server = await TestServer.start();
    await using probe = await BucketProbe.open(server.url);
    const name = 'stopped';
    const [first, second] = await WorkerProcess.startAll(2, { url: server.url });
    const held = await first!.request('acquire', { name, ttl: 1_000 });
    await first!.request('watchClosely', { permit: held.permit });
    const waiting = second!.request('acquire', { name, options: { ttl: 30_000 } });

    const stoppedAt = first!.kill('SIGSTOP');
    const granted = await waiting;
    expect(granted.at - stoppedAt).toBeLessThanOrEqual(4_000);
    expect((await second!.request('diagnostics')).safetyFinds).toBe(0);
    const key = `sem.${name}.slot.0`;
    const before = await probe.entry(key);
    expect(before).toMatchObject({ permit: granted.permit, revision: revisionOf(granted.token) });
    const continuedAt = first!.kill('SIGCONT');

    const { seen } = await first!.event<Woke>((event) => event.type === 'woke');
    const lost = await first!.lost(held.permit);
    expect(lost.code).toBe('PERMIT_LOST');
    expect(seen[0]!.at).toBeGreaterThan(granted.at);
    // No piece of work sees `isHeld`, nor a signal that is not aborted once `isHeld` was looked at.
    expect(seen.filter(({ isHeld }) => isHeld)).toEqual([]);
    expect(seen.filter(({ signalAfter }) => !signalAfter)).toEqual([]);
    const unaware = seen.filter(({ signalBefore }) => !signalBefore).length;
    console.log(
      `stopped for ${(continuedAt - stoppedAt).toFixed(0)} ms; told of the loss ${(lost.at - continuedAt).toFixed(1)} ms ` +
        `after going on; pieces of work that ran before a signal they hold had aborted: ${unaware} (${seen[0]!.source})`,
    );

    expect((await first!.request('release', { permit: held.permit })).released).toBe(false);
    expect(await probe.entry(key)).toEqual(before);
    expect(await second!.request('state', { permit: granted.permit })).toMatchObject({
      isHeld: true,
      aborted: false,
    });
    expect((await second!.request('release', { permit: granted.permit })).released).toBe(true);
  });

  it('also when nobody took the slot: it has lost it', async () => {
    await using server = await TestServer.start();
    await using probe = await BucketProbe.open(server.url);
    await using holder = await WorkerProcess.start({ url: server.url });
    const held = await holder.request('acquire', { name: 'alone', ttl: 1_000 });
    await holder.request('watchClosely', { permit: held.permit });
    holder.kill('SIGSTOP');
    await probe.announced(({ marker }) => marker === 'MaxAge');
    holder.kill('SIGCONT');
    const { seen } = await holder.event<Woke>((event) => event.type === 'woke');
    expect(seen.filter(({ isHeld }) => isHeld)).toEqual([]);
    expect((await holder.request('release', { permit: held.permit })).released).toBe(false);
  });
});
