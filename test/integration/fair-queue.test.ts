import { describe, expect, it } from '@jest/globals';
import { TICKET_TTL_MS } from '../../src/acquire/fair-queue';
import { TestServer } from '../../src/testing';
import { History } from '../support/history';
import { monotonicMs } from '../support/monotonic';
import { occupancy } from '../support/occupancy';
import { Replay, replayQueue } from '../support/replay';
import type { Granted } from '../support/worker';
import { WorkerProcess } from '../support/worker-process';

const PROCESSES = 8;
const SLOTS = 3;
const WAITERS = 200;
const EACH = WAITERS / PROCESSES;
const NAME = 'queue';
/** "Dead waiters delay the queue by a ticket's ttl and a second at most, however many died." */
const STALL_MS = TICKET_TTL_MS + 1_000;
/** What a busy machine adds to that. */
const LATE_MS = 2_000;

const ask = { name: NAME, slots: SLOTS, ttl: 30_000, fair: true };

/** Processes of which the last holds all slots, without having queued, until `open`. */
async function crowd(url: string, processes: number) {
  const workers = await WorkerProcess.startAll(processes, { url });
  await Promise.all(workers.map((worker) => worker.request('ready')));
  const gate = workers.at(-1)!;
  const held: Granted[] = [];
  for (let i = 0; i < SLOTS; i++) held.push(await gate.request('acquire', { ...ask, fair: false }));
  return {
    workers,
    open: () => Promise.all(held.map(({ permit }) => gate.request('release', { permit }))),
    /** Who was in which slot, less those who held the slots at first. */
    steps: () => {
      const gates = new Set(held.map(({ permit }) => permit));
      return workers.map((worker) => worker.steps.filter(({ permit }) => !gates.has(permit)));
    },
  };
}

/** Resolves when so many have joined the queue. */
async function joined(history: History, count: number): Promise<void> {
  const replay = new Replay(NAME);
  let done = 0;
  await history.when(() => {
    for (; done < history.changes.length; done++) replay.apply(history.changes[done]!);
    return replay.created.size >= count ? true : undefined;
  });
}

describe(`${WAITERS} fair waiters in ${PROCESSES} processes on ${SLOTS} slots`, () => {
  it('are granted in the order of their tickets, and never more than the slots at once', async () => {
    await using server = await TestServer.start();
    await using history = await History.open(server.url);
    const { workers, open, steps } = await crowd(server.url, PROCESSES);
    // Each comes twice: while the first are served, others join at the end.
    const running = workers.map((worker) =>
      worker.request('loop', { ...ask, loops: EACH, total: 2 * EACH, work: 2 }),
    );
    await joined(history, WAITERS);
    const openedAt = monotonicMs();
    await open();
    const done = await Promise.all(running);
    const tookMs = monotonicMs() - openedAt;

    const { served, inversions, peak, above, deeds, stalls } = replayQueue(NAME, await history.complete());
    const seen = occupancy(...steps());
    const longest = Math.max(...stalls.map(({ ms }) => ms));
    console.log(
      `${served.length} grants in ${tookMs.toFixed(0)} ms, ${inversions.length} inversions, highest occupancy ${peak}, ` +
        `longest time that a slot stood empty ${longest} ms`,
      deeds,
    );
    expect(done.reduce((sum, each) => sum + each.done, 0)).toBe(2 * WAITERS);
    expect(served).toHaveLength(2 * WAITERS);
    expect(inversions).toEqual([]);
    expect(peak).toBe(SLOTS);
    expect(above).toEqual([]);
    expect(seen).toEqual({ peak: { [NAME]: SLOTS }, overlaps: [], tokenFaults: [], stays: 2 * WAITERS });
    const counts = await Promise.all(workers.map((worker) => worker.request('diagnostics')));
    expect(counts.map(({ safetyFinds }) => safetyFinds)).toEqual(workers.map(() => 0));
  });

  it('of whom 20 are killed while they queue: all others are served, after one bounded stall', async () => {
    await using server = await TestServer.start();
    await using history = await History.open(server.url);
    const { workers, open, steps } = await crowd(server.url, PROCESSES);
    const [first, second, ...others] = workers as [WorkerProcess, WorkerProcess, ...WorkerProcess[]];
    const doomed = { ...ask, loops: 10, total: 10, work: 2 };
    const early = { ...ask, loops: 2, total: 2, work: 2 };
    const running = [others[0]!.request('loop', early)];
    await joined(history, 2);
    // Right behind the first two.
    void first.request('loop', doomed);
    await joined(history, 12);
    running.push(...others.map((other) => other.request('loop', { ...ask, loops: 15, total: 15, work: 2 })));
    await joined(history, 102);
    // In the middle.
    void second.request('loop', doomed);
    await joined(history, 112);
    const rest = { ...ask, loops: 14, total: 14, work: 2 };
    running.push(...others.map((other) => other.request('loop', rest)));
    running.push(others[1]!.request('loop', { ...ask, loops: 4, total: 4, work: 2 }));
    await joined(history, WAITERS);

    const killedAt = Date.now();
    for (const victim of [first, second]) victim.kill('SIGKILL');
    await Promise.all([first.exited, second.exited]);
    await open();
    const done = await Promise.all(running);

    const changes = await history.complete();
    const { served, inversions, peak, above, stalls } = replayQueue(NAME, changes);
    const expired = changes.filter(({ key, marker }) => key.includes('.ticket.') && marker === 'MaxAge');
    const lastExpired = Math.max(...expired.map(({ storedAt }) => storedAt)) - killedAt;
    const long = stalls.map(({ ms }) => ms).sort((a, b) => b - a);
    const total = long.reduce((sum, ms) => sum + ms, 0);
    console.log(
      `stood empty while others queued: ${total} ms in total, longest ${long.slice(0, 3).join(', ')} ms; ` +
        `the last of ${expired.length} dead tickets was gone ${lastExpired} ms after the kill`,
    );
    expect(done.reduce((sum, each) => sum + each.done, 0)).toBe(WAITERS - 20);
    // A slot may have been given to a dead one that was not known to be.
    const dead = new Set(expired.map(({ key }) => key.split('.').at(-1)));
    expect(served.filter(({ ticket }) => !dead.has(ticket))).toHaveLength(WAITERS - 20);
    expect(inversions).toEqual([]);
    expect(peak).toBe(SLOTS);
    expect(expired).toHaveLength(20);
    expect(lastExpired).toBeLessThanOrEqual(STALL_MS + LATE_MS);
    // It did stall, or the dead were not in the way.
    expect(long[0]).toBeGreaterThan(1_000);
    expect(total).toBeLessThanOrEqual(STALL_MS + LATE_MS);
    expect(above).toEqual([]);
    const stays = WAITERS - 20;
    expect(occupancy(...steps())).toEqual({ peak: { [NAME]: SLOTS }, overlaps: [], tokenFaults: [], stays });
  });
});
