import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { History } from '../support/history';
import { replayQueue } from '../support/replay';
import { type Totals, totals } from '../support/server-counts';
import { Wiretap } from '../support/wiretap';
import { WorkerProcess } from '../support/worker-process';

const PROCESSES = 4;
/** One: so that somebody waits in every process at all times. */
const SLOTS = 1;
const LENGTHS = [10, 100, 1_000];
const TOTAL = 1_200;

/** What one acquisition and its release cost, on average. */
interface Cost {
  /** Messages that were stored. */
  readonly stored: number;
  /** Claims that won. */
  readonly claims: number;
  /** Claims that came too late. */
  readonly refused: number;
  /** Reads of the bucket. */
  readonly reads: number;
  /** Requests to the JetStream API. */
  readonly api: number;
  /** All that the processes sent. */
  readonly sent: number;
  /** Renewals of tickets: they go by time, not by acquisition, and are left out of the others. */
  readonly renewals: number;
  /** Writes not needed because slots were passed on, less those of slots that were given to somebody who did not need them. */
  readonly saved: number;
}

let server: TestServer;

beforeAll(async () => {
  server = await TestServer.start();
});

afterAll(async () => {
  await server.stop();
});

/** So many wait at once, and whoever was served comes back, until all together were served `TOTAL` times. */
async function costOf(fair: boolean, waiters: number): Promise<Cost> {
  const name = `${fair ? 'fair' : 'unfair'}-${waiters}`;
  const ask = { name, slots: SLOTS, fair };
  await using history = await History.open(server.url);
  await using tap = await Wiretap.open(server.url);
  const workers = await WorkerProcess.startAll(PROCESSES, { url: server.url, client: '3.x' });
  for (const worker of workers) await worker.request('loop', { ...ask, loops: 1, total: 1, work: 0 });
  const read = async (): Promise<Totals & { writes: number; reads: number }> => {
    await Promise.all(workers.map((worker) => worker.request('flush')));
    return { ...(await totals(server)), ...(await tap.heard()) };
  };

  const before = await read();
  const running = workers.map((worker, i) => {
    const loops = Math.floor((waiters + i) / PROCESSES);
    return worker.request('loop', { ...ask, loops, total: TOTAL / PROCESSES, work: 1 });
  });
  await Promise.all(running);
  const after = await read();
  await Promise.all(workers.map((worker) => worker.stop()));

  const changes = await history.between(before.stored, after.stored);
  const { deeds, inversions } = replayQueue(name, changes);
  expect(inversions).toEqual([]);
  const { claim: claims = 0, 'passed on': passedOn = 0 } = deeds;
  expect(deeds['slot freed']).toBe(claims);
  // Two may give to the same waiter at once: what he does not need he passes on.
  const surplus = claims + passedOn - TOTAL;
  expect(surplus).toBeGreaterThanOrEqual(0);
  const renewals = (deeds['ticket renewed'] ?? 0) + (deeds['hold renewed'] ?? 0);
  const stored = changes.length - renewals;
  const refused = after.writes - before.writes - changes.length;
  const reads = after.reads - before.reads;
  const api = after.api - before.api;
  const sent = after.sent - before.sent - renewals;
  // Nothing was sent that is not counted here.
  expect(sent).toBe(stored + refused + reads + api);
  const each = (count: number): number => count / TOTAL;
  return {
    stored: each(stored),
    claims: each(claims),
    refused: each(refused),
    reads: each(reads),
    api: each(api),
    sent: each(sent),
    saved: each(passedOn - 2 * surplus),
    renewals: each(renewals),
  };
}

/**
 * How much larger the largest is than the smallest, had nothing been saved, and but for lost races: how often neighbours in the
 * queue are of one process, and how many claims come too late, is chance.
 */
function spread(costs: readonly Cost[]): number {
  const sent = costs.map((cost) => cost.sent + cost.saved - cost.refused);
  return Math.max(...sent) / Math.min(...sent) - 1;
}

function show(what: string, costs: readonly Cost[]): void {
  const rows = costs.map(
    ({ stored, refused, reads, api, sent, saved, renewals }, i) =>
      `${LENGTHS[i]} waiters: ${sent.toFixed(3)} messages = ${stored.toFixed(3)} stored + ${refused.toFixed(3)} refused + ` +
      `${reads.toFixed(3)} reads + ${api.toFixed(3)} API requests; beside them ${renewals.toFixed(3)} renewals; ${saved.toFixed(3)} were saved by passing on`,
  );
  console.log(`${what}, per acquisition:\n${rows.join('\n')}`);
}

describe('messages per acquisition while 10, 100 or 1,000 wait in 4 processes', () => {
  it('fair: the same however many wait, and at most four writes', async () => {
    const costs: Cost[] = [];
    for (const waiters of LENGTHS) costs.push(await costOf(true, waiters));
    show('fair', costs);
    for (const { stored, refused } of costs) {
      expect(stored).toBeLessThanOrEqual(4);
      // The server forgets a released slot after a second: if nobody came for so long, the first claim is refused.
      expect(refused).toBeLessThanOrEqual(0.01);
    }
    expect(spread(costs)).toBeLessThanOrEqual(0.1);
  });

  it('unfair: the same however many wait, at most two writes and a lost race for each other process', async () => {
    const costs: Cost[] = [];
    for (const waiters of LENGTHS) costs.push(await costOf(false, waiters));
    show('unfair', costs);
    for (const { stored, claims, refused } of costs) {
      expect(stored).toBeLessThanOrEqual(2);
      expect(refused).toBeLessThanOrEqual((PROCESSES - 1) * claims);
    }
    expect(spread(costs)).toBeLessThanOrEqual(0.25);
  });
});
