import { describe, expect, it } from '@jest/globals';
import { TICKET_TTL_MS } from '../../src/acquire/fair-queue';
import { TestServer } from '../../src/testing';
import { BucketProbe } from '../support/bucket-probe';
import { eventually } from '../support/eventually';
import { History } from '../support/history';
import { monotonicMs } from '../support/monotonic';
import { occupancy } from '../support/occupancy';
import { Replay, replayQueue } from '../support/replay';
import { WorkerProcess } from '../support/worker-process';
import { revisionOf } from '../support/token';

const STALL_MS = TICKET_TTL_MS + 1_000;
const WAITERS = 20;

/** Ids of the tickets that there are, first come first, once there are so many. */
function queueOf(history: History, name: string, length: number): Promise<string[]> {
  const replay = new Replay(name);
  let done = 0;
  return history.when(() => {
    while (done < history.changes.length) replay.apply(history.changes[done++]!);
    const { queue } = replay;
    return queue.length >= length ? queue : undefined;
  });
}

describe("a fair waiter's process stopped with SIGSTOP for longer than its ticket lives", () => {
  it('loses its place, is served after those behind it, and holds nothing in the meantime', async () => {
    await using server = await TestServer.start();
    await using history = await History.open(server.url);
    const [gate, stopped, others] = await WorkerProcess.startAll(3, { url: server.url });
    const name = 'paused';
    const ask = { name, fair: true };
    const { permit } = await gate!.request('acquire', ask);
    const first = stopped!.request('loop', { ...ask, loops: 2, total: 2, work: 20 });
    const [firstTicket, secondTicket] = await queueOf(history, name, 2);
    const rest = others!.request('loop', { ...ask, loops: 4, total: 4, work: 20 });
    await queueOf(history, name, 6);

    const stoppedAt = stopped!.kill('SIGSTOP');
    await gate!.request('release', { permit });
    expect(await rest).toMatchObject({ done: 4, lost: 0 });
    const servedAt = monotonicMs();
    stopped!.kill('SIGCONT');
    expect(await first).toMatchObject({ done: 2, lost: 0 });

    const { served, inversions, above, peak, stalls } = replayQueue(name, await history.complete());
    const longest = Math.max(...stalls.map(({ ms }) => ms));
    console.log(
      `those behind it were served ${(servedAt - stoppedAt).toFixed(0)} ms after the stop; ` +
        `the slot stood empty for ${longest} ms`,
    );
    expect(longest).toBeLessThanOrEqual(STALL_MS);
    // The four behind, and then the two that were stopped, with new tickets. The gate found nobody and needed none, and gave the
    // slot to the first, which could not hear of it in time.
    const lost = new Set([firstTicket, secondTicket]);
    expect(served.filter(({ ticket }) => !lost.has(ticket))).toHaveLength(6);
    expect(served.filter(({ ticket }) => lost.has(ticket)).map(({ ticket }) => ticket)).toEqual([
      firstTicket,
    ]);
    const late = new Set(stopped!.steps.map(({ token }) => revisionOf(token)));
    expect(served.slice(-2).map(({ revision }) => late.has(revision))).toEqual([true, true]);
    expect({ inversions, above, peak }).toEqual({ inversions: [], above: [], peak: 1 });
    const seen = occupancy(...[gate!, stopped!, others!].map(({ steps }) => steps));
    expect(seen).toEqual({ peak: { [name]: 1 }, overlaps: [], tokenFaults: [], stays: 7 });
  });

  it('also when it is stopped again and again, while slots are given to it: no slot has two who believe in it', async () => {
    await using server = await TestServer.start();
    await using history = await History.open(server.url);
    const workers = await WorkerProcess.startAll(4, { url: server.url });
    const name = 'restless';
    const ask = { name, slots: 2, fair: true, ttl: 1_000 };
    const running = workers.map((worker) =>
      worker.request('loop', { ...ask, loops: 5, total: 100_000, work: 10 }),
    );
    await queueOf(history, name, 10);
    for (let round = 0; round < 6; round++) {
      const victim = workers[round % 2]!;
      // Just when something is given to it.
      const before = victim.steps.length;
      await victim.event(() => victim.steps.length > before);
      victim.kill('SIGSTOP');
      const start = history.changes.at(-1)!.storedAt;
      // What it held expires; the rest goes on, or stalls if it is first in the queue.
      await history.when(() => (history.changes.at(-1)!.storedAt - start > 2_000 ? true : undefined));
      victim.kill('SIGCONT');
    }
    await Promise.all(workers.map((worker) => worker.request('endLoops')));
    const done = await Promise.all(running);
    const { served, inversions, above, deeds } = replayQueue(name, await history.complete());
    const seen = occupancy(...workers.map(({ steps }) => steps));
    console.log(`${served.length} grants,`, done, deeds);
    expect(above).toEqual([]);
    expect(inversions).toEqual([]);
    expect(seen.overlaps).toEqual([]);
    expect(seen.tokenFaults).toEqual([]);
    for (const each of done) expect(each.done).toBeGreaterThan(0);
  });
});

describe(`the server killed and started again while ${WAITERS} fair waiters queue`, () => {
  /** One process holds the slot; the others queue. Then the server is away for a restart, and before it as long as `away` takes. */
  async function outage(server: TestServer, history: History, away?: () => Promise<void>) {
    const name = 'queue';
    const ask = { name, fair: true, ttl: 60_000 };
    const workers = await WorkerProcess.startAll(5, { url: server.url });
    const [gate, ...others] = workers as [WorkerProcess, ...WorkerProcess[]];
    const { permit } = await gate.request('acquire', { ...ask, fair: false });
    const share = { ...ask, loops: WAITERS / 4, total: WAITERS / 4, work: 5 };
    const running = others.map((worker) => worker.request('loop', share));
    const before = await queueOf(history, name, WAITERS);
    await server.kill();
    await away?.();
    await server.restart();
    const backAt = monotonicMs();
    await using probe = await BucketProbe.open(server.url);
    // Everybody has a ticket again, and the history hears of what comes.
    const ticketKeys = async (): Promise<string[]> =>
      (await probe.liveKeys()).filter((key) => key.includes('.ticket.'));
    await eventually(async () => {
      const keys = await ticketKeys();
      expect(keys).toHaveLength(WAITERS);
      // The server needs a moment to notice what ran out while it was away.
      if (away !== undefined) expect(keys.filter((key) => before.some((id) => key.endsWith(id)))).toEqual([]);
    }, 20_000);
    const queuedAt = monotonicMs();
    const orders = new Map<string, number>();
    for (const key of await ticketKeys()) {
      const { revision, value } = (await probe.entry(key))!;
      orders.set(key.split('.').at(-1)!, (JSON.parse(value) as { token?: number }).token ?? revision);
    }
    await eventually(() => history.connection.flush());
    await gate.request('release', { permit });
    const done = await Promise.all(running);
    const tookMs = monotonicMs() - queuedAt;

    // What was announced while nobody could hear it concerns tickets alone: the slot was held.
    const served = (await history.heard())
      .filter(({ key, value }) => key.includes('.slot.') && value !== null)
      .map(({ value }) => JSON.parse(value!) as { ticket?: string; token?: number })
      .filter(({ ticket, token }) => token === undefined && orders.has(ticket ?? ''))
      .map(({ ticket }) => ticket);
    const survivors = before.filter((ticket) => orders.has(ticket));
    console.log(
      `${survivors.length} of ${WAITERS} tickets survived; all had one ${(queuedAt - backAt).toFixed(0)} ms after the ` +
        `server was back; all were served ${tookMs.toFixed(0)} ms after the slot was free`,
    );
    expect(done.map((each) => each.done)).toEqual([5, 5, 5, 5]);
    expect(done.map((each) => each.lost)).toEqual([0, 0, 0, 0]);
    // Everybody who queued is served once, in the order of the tickets.
    expect(served).toEqual([...orders].sort(([, a], [, b]) => a - b).map(([ticket]) => ticket));
    const seen = occupancy(...workers.map(({ steps }) => steps));
    expect(seen).toEqual({ peak: { [name]: 1 }, overlaps: [], tokenFaults: [], stays: WAITERS + 1 });
    return { before, survivors, served };
  }

  it('soon: all keep their places', async () => {
    await using server = await TestServer.start();
    await using history = await History.open(server.url);
    const { before, survivors, served } = await outage(server, history);
    expect(survivors).toEqual(before);
    expect(served).toEqual(before);
  });

  it('after longer than a ticket lives: all join again', async () => {
    await using server = await TestServer.start();
    await using history = await History.open(server.url);
    const { survivors } = await outage(server, history, async () => {
      const killedAt = monotonicMs();
      // Nothing happens that could be waited for, but time.
      await eventually(() => expect(monotonicMs() - killedAt).toBeGreaterThan(STALL_MS + 3_000), 30_000);
    });
    expect(survivors).toEqual([]);
  });

  it('while they are served: all are, and nobody meets anybody in a slot', async () => {
    await using server = await TestServer.start();
    const workers = await WorkerProcess.startAll(4, { url: server.url });
    const ask = { name: 'busy', slots: 3, fair: true, ttl: 5_000 };
    const share = { ...ask, loops: 10, total: 150, work: 3 };
    const running = workers.map((worker) => worker.request('loop', share));
    const told = (): number => workers.reduce((sum, worker) => sum + worker.steps.length, 0);
    for (const atLeast of [200, 600]) {
      await Promise.race(workers.map((worker) => worker.event(() => told() > atLeast)));
      await server.kill();
      await server.restart();
    }
    const done = await Promise.all(running);
    expect(done.map((each) => each.done)).toEqual([150, 150, 150, 150]);
    const seen = occupancy(...workers.map(({ steps }) => steps));
    expect(seen).toMatchObject({ overlaps: [], tokenFaults: [], stays: 600 });
    expect(seen.peak).toEqual({ busy: 3 });
    await using probe = await BucketProbe.open(server.url);
    // A server that is killed just when the marker of a removal runs out has the removed entry again after its restart,
    // until that runs out, too.
    const everything = async (): Promise<void> => expect(await probe.liveKeys()).toEqual(['sem.busy.limit']);
    await eventually(everything, STALL_MS + 5_000);
  });
});
