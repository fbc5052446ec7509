import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { BucketProbe } from '../support/bucket-probe';
import type { Granted } from '../support/worker';
import { WorkerProcess } from '../support/worker-process';

const HOLDS = 20;
const TTLS = [1_000, 1_500, 2_001, 2_900];

let server: TestServer;

beforeAll(async () => {
  server = await TestServer.start();
});

afterAll(async () => {
  await server.stop();
});

function acquireAll(holder: WorkerProcess, ttl: number): Promise<Granted[]> {
  const options = { autoRenew: false };
  return Promise.all(
    Array.from({ length: HOLDS }, (_, i) =>
      holder.request('acquire', { name: `t${ttl}-${i}`, ttl, options }),
    ),
  );
}

const spread = (values: readonly number[]): string =>
  `${Math.min(...values).toFixed(0)}-${Math.max(...values).toFixed(0)} ms`;

describe('the server, whose ttls are whole seconds', () => {
  it.each(TTLS)(
    'keeps a slot with a ttl of %i ms for at least as long as its holder believes in it',
    async (ttl) => {
      await using probe = await BucketProbe.open(server.url);
      const holder = await WorkerProcess.start({ url: server.url });
      const granted = await acquireAll(holder, ttl);
      // A living holder would give back what it lost before it expires.
      holder.kill('SIGKILL');
      const expired: number[] = [];
      const spare: number[] = [];
      for (const { askedAt, at, remaining, permit } of granted) {
        const key = probe.announcements.find((a) => a.permit === permit)?.key;
        const end = await probe.announced((a) => a.key === key && a.marker === 'MaxAge');
        expired.push(end.at - askedAt);
        spare.push(end.at - (at + remaining));
      }
      console.log(
        `ttl ${ttl} ms: expired ${spread(expired)} after asking, ${spread(spare)} after belief ended`,
      );
      expect(Math.min(...expired)).toBeGreaterThanOrEqual(ttl);
      expect(Math.min(...spare)).toBeGreaterThan(0);
    },
  );

  it('has a slot given back by a living holder only after that has lost it', async () => {
    const ttl = 1_500;
    await using probe = await BucketProbe.open(server.url);
    await using holder = await WorkerProcess.start({ url: server.url });
    const granted = await acquireAll(holder, ttl);
    const lost = await Promise.all(granted.map(({ permit }) => holder.lost(permit)));
    const believed: number[] = [];
    for (const [i, { permit, askedAt }] of granted.entries()) {
      const key = probe.announcements.find((a) => a.permit === permit)?.key;
      const end = await probe.announced((a) => a.key === key && a.permit === undefined);
      expect(end.marker).toBe('PURGE');
      expect(end.at).toBeGreaterThan(lost[i]!.at);
      believed.push(lost[i]!.at - askedAt);
    }
    console.log(`ttl ${ttl} ms: lost ${spread(believed)} after asking`);
  });
});
