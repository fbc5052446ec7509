import { describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { type Step, occupancy } from '../support/occupancy';
import { WorkerProcess } from '../support/worker-process';

const PROCESSES = 4;
const LOOPS = 10;
const SLOTS = 3;
const TOTAL = 2_000;

describe('40 workers in 4 processes on 3 slots', () => {
  it('are never more than 3 at once, often exactly 3, and all get done without the safety net', async () => {
    await using server = await TestServer.start();
    const workers = await WorkerProcess.startAll(PROCESSES, { url: server.url });
    await Promise.all(workers.map((worker) => worker.request('ready')));
    const share = { name: 'pool', slots: SLOTS, loops: LOOPS, total: TOTAL / PROCESSES, work: 10 };
    const startedAt = performance.now();
    const done = await Promise.all(workers.map((worker) => worker.request('loop', share)));
    const took = performance.now() - startedAt;

    const seen = occupancy(...workers.map((worker) => worker.steps));
    const counts = await Promise.all(workers.map((worker) => worker.request('diagnostics')));
    const reads = counts.reduce((sum, { safetyReads }) => sum + safetyReads, 0);
    const finds = counts.reduce((sum, { safetyFinds }) => sum + safetyFinds, 0);
    console.log(
      `${TOTAL} acquisitions in ${took.toFixed(0)} ms; hand-over ${gaps(workers.flatMap(({ steps }) => steps))} ms; ` +
        `safety net: ${reads} reads, ${finds} finds`,
    );

    expect(done.reduce((sum, each) => sum + each.done, 0)).toBe(TOTAL);
    expect(done.reduce((sum, each) => sum + each.lost, 0)).toBe(0);
    expect(seen).toEqual({ peak: { pool: SLOTS }, overlaps: [], tokenFaults: [], stays: TOTAL });
    expect(finds).toBe(0);
  });
});

/** How long slots stood empty between two permits: median and 99th percentile, in ms. */
function gaps(steps: readonly Step[]): string {
  const last = new Map<Step['slot'], number>();
  const found: number[] = [];
  for (const { type, slot, at } of [...steps].sort((a, b) => a.at - b.at)) {
    const left = last.get(slot);
    if (type === 'leave') last.set(slot, at);
    else if (left !== undefined) found.push(at - left);
  }
  found.sort((a, b) => a - b);
  const at = (share: number): string => (found[Math.floor(found.length * share)] ?? NaN).toFixed(1);
  return `p50 ${at(0.5)} p99 ${at(0.99)}`;
}
