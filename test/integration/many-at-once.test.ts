import { describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { BucketProbe } from '../support/bucket-probe';
import { eventually } from '../support/eventually';
import { History } from '../support/history';
import { occupancy } from '../support/occupancy';
import { randomFrom, within } from '../support/random';
import { replayGrants } from '../support/replay-grants';
import type { ChurnResult } from '../support/worker-churn';
import { WorkerProcess } from '../support/worker-process';

const PROCESSES = 4;
const MOST = 3;
const PATIENCE = [0, 60] as const;
const LIMITS = [2, 6] as const;
/** So many do not have to fill every slot at once. */
const FEW = 600;
/** The operator changes a limit each time so many more changes were stored, or none for so long. */
const CHANGES_PER_RESIZE = 100;
const QUIET_MS = 200;
const names = ['a', 'b'] as const;
const seed = Number(process.env.SEED ?? (Math.random() * 2 ** 32) >>> 0);

/** Sets limits at random until told to stop, then to the highest. */
function operate(history: History, operator: WorkerProcess): { stop: () => Promise<number> } {
  const random = randomFrom(seed);
  let stopping = false;
  let resizes = 0;
  let next = CHANGES_PER_RESIZE;
  const set = async (name: string, slots: number): Promise<void> => {
    await operator.request('setPermits', { name, slots });
    resizes++;
  };
  const run = async (): Promise<void> => {
    for (;;) {
      const enough = (): true | undefined => stopping || history.changes.length >= next || undefined;
      await history.when(enough, QUIET_MS).catch(() => undefined);
      if (stopping) return;
      next = history.changes.length + CHANGES_PER_RESIZE;
      await set(names[within(random, 0, 1)]!, within(random, ...LIMITS));
    }
  };
  const running = run();
  return {
    stop: async () => {
      stopping = true;
      for (const name of names) await set(name, LIMITS[1]);
      await running;
      return resizes;
    },
  };
}

describe(`random acquisitions of one or two semaphores in ${PROCESSES} processes, with aborts, timeouts and resizes`, () => {
  // A single server with its files on disk takes some 480 batches a second, one in memory ten times as many.
  it.each([
    ['memory', 5_000],
    ['file', FEW],
  ] as const)(
    'bucket in %s, %i of them: no grant above the limit, no deadlock, nothing left',
    async (storage, total) => {
      await using server = await TestServer.start();
      await using history = await History.open(server.url);
      await using probe = await BucketProbe.open(server.url);
      const [operator, ...workers] = await WorkerProcess.startAll(PROCESSES + 1, {
        url: server.url,
        options: { storage },
      });
      for (const name of names) await operator!.request('setPermits', { name, slots: LIMITS[1] });

      const startedAt = performance.now();
      const operating = operate(history, operator!);
      const running = workers.map((worker, i) =>
        worker.request('churn', {
          seed: seed + i + 1,
          names,
          loops: 10,
          total: total / PROCESSES,
          most: MOST,
          patience: PATIENCE,
        }),
      );
      const results = await Promise.all(running);
      const resizes = await operating.stop();
      const tookMs = performance.now() - startedAt;
      // What nobody wanted any more may still be on its way back.
      await eventually(async () =>
        expect((await probe.liveKeys()).sort()).toEqual(['sem.a.limit', 'sem.b.limit']),
      );

      const steps = workers.map((worker) => worker.steps);
      const permits = new Set(steps.flat().map(({ permit }) => permit));
      const changes = await history.complete();
      const report = replayGrants(names, changes, permits);
      const sum = (of: Exclude<keyof ChurnResult, 'errors'>): number =>
        results.reduce((all, result) => all + result[of], 0);
      const takenBack = [...report.claimed].filter((permit) => !permits.has(permit)).length;
      console.log(
        `seed ${seed}, bucket in ${storage}: ${sum('granted')} granted (${sum('grantedOnBoth')} on both), ${sum('timedOut')} timed out (and ${sum('unanswered')} unanswered), ` +
          `${sum('aborted')} aborted, ${sum('tooMany')} wanted more than there were, ${tookMs.toFixed(0)} ms; ` +
          `${resizes} resizes, ${report.overhangs} of them below what was held; ${takenBack} claims taken back untold; ` +
          `${changes.length} revisions, highest occupancy ${JSON.stringify(report.peak)}`,
      );
      expect(results.flatMap(({ errors }) => errors)).toEqual([]);
      const refused = sum('timedOut') + sum('unanswered') + sum('aborted') + sum('tooMany');
      expect(sum('granted') + refused).toBe(total);
      expect(sum('lost')).toBe(0);
      expect(permits.size).toBe(sum('granted'));
      expect(report.excesses).toEqual([]);
      expect(report.torn).toEqual([]);
      expect(report.left).toEqual([]);
      if (total > FEW) expect(report.peak).toEqual({ a: LIMITS[1], b: LIMITS[1] });
      expect(report.overhangs).toBeGreaterThan(0);
      expect(occupancy(...steps)).toMatchObject({ overlaps: [], tokenFaults: [] });
      for (const name of names) expect(await operator!.request('availablePermits', { name })).toBe(LIMITS[1]);
    },
  );
});
