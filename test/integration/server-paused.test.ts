import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { BucketProbe } from '../support/bucket-probe';
import { monotonicMs } from '../support/monotonic';
import { occupancy } from '../support/occupancy';
import { WorkerProcess } from '../support/worker-process';

const HOLDERS = 1_000;
const TTL = 2_000;
const key = (name: string): string => `sem.${name}.slot.0`;

/**
 * The server writes the marker of an expiry without looking: a renewal that it acknowledged in the same moment may be
 * gone right after. A permit that believed such an answer would be held twice.
 */
describe('a server stopped with SIGSTOP under 1,000 holders that renew', () => {
  it.each([1_500, 1_950, 2_100, 2_600])(
    'for %i ms with a ttl of 2,000 ms: nobody believes what it undid',
    async (pause) => {
      await using server = await TestServer.start();
      await using probe = await BucketProbe.open(server.url);
      const [one, two, contender] = (await WorkerProcess.startAll(3, { url: server.url })) as [
        WorkerProcess,
        WorkerProcess,
        WorkerProcess,
      ];
      const names = Array.from({ length: HOLDERS }, (_, i) => `n${i}`);
      await Promise.all(names.map((name, i) => (i % 2 ? one : two).request('acquire', { name, ttl: TTL })));
      let granted = 0;
      const waiting = names.map((name) =>
        contender.request('acquire', { name, ttl: 10 * TTL }).then(() => granted++),
      );
      // Everyone has renewed, at times of their own.
      await probe.when(() => (probe.announcements.length >= 2 * HOLDERS ? true : undefined));

      server.pause();
      await sleep(pause);
      server.resume();
      const resumedAt = monotonicMs();

      let believers = 0;
      const wrong: string[] = [];
      for (let round = 0; round < 4; round++) {
        const before = await beliefs([one, two, contender]);
        const entries = new Map(
          await Promise.all(names.map(async (name) => [name, await probe.entry(key(name))] as const)),
        );
        const after = await beliefs([one, two, contender]);
        for (const [permit, name] of before) {
          // Belief ends once and for all, so who believes before and after believed while the entry was read.
          if (!after.has(permit)) continue;
          believers++;
          const entry = entries.get(name);
          if (entry?.permit !== permit)
            wrong.push(`${permit} believes in ${name}, where there is ${JSON.stringify(entry)}`);
        }
      }
      const granted1 = granted;
      // Those that kept their permit give it back, so that every contender gets its turn.
      for (const worker of [one, two]) {
        const held = (await worker.request('states')).filter(({ isHeld }) => isHeld);
        await Promise.all(held.map(({ permit }) => worker.request('release', { permit })));
      }
      await Promise.all(waiting);

      const lost = [one, two].flatMap(({ events }) => events.filter((event) => event.type === 'lost'));
      // Whoever hears of a loss from the server has believed for too long.
      const late = lost.filter(({ reason }) => !reason.includes('ran out before a renewal was acknowledged'));
      const seen = occupancy(one.steps, two.steps, contender.steps);
      console.log(
        `stopped for ${pause} ms: ${lost.length} of ${HOLDERS} lost, ${late.length} of them told by the server; ${undone(probe, resumedAt)} renewals undone by the server; ` +
          `${believers} looks at believers, ${wrong.length} wrong; ${granted1} contenders served before any release`,
      );
      expect(late).toEqual([]);
      expect(wrong).toEqual([]);
      expect(believers).toBeGreaterThan(0);
      expect(seen.overlaps).toEqual([]);
      expect(seen.tokenFaults).toEqual([]);
      expect(new Set(Object.values(seen.peak))).toEqual(new Set([1]));
      expect(seen.stays).toBe(2 * HOLDERS);
    },
  );
});

/** Permits that say they hold, with the names of what. */
async function beliefs(workers: readonly WorkerProcess[]): Promise<Map<string, string>> {
  const states = await Promise.all(workers.map((worker) => worker.request('states')));
  return new Map(
    states
      .flat()
      .filter(({ isHeld }) => isHeld)
      .map(({ permit, name }) => [permit, name]),
  );
}

/** Markers of expiry right after a renewal that the server had taken: each destroyed it. */
function undone(probe: BucketProbe, since: number): number {
  const last = new Map<string, { permit: string | undefined; at: number }>();
  let count = 0;
  for (const { key: subject, marker, permit, at } of probe.announcements) {
    const before = last.get(subject);
    if (marker === 'MaxAge' && at >= since && before?.permit !== undefined && before.at >= since) count++;
    last.set(subject, { permit, at });
  }
  return count;
}
