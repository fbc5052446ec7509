import { describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { History } from '../support/history';
import { eventually } from '../support/eventually';
import { type ReadWriteStep, readWriteReport, staysOf } from '../support/read-write-log';
import { replayReadWrite } from '../support/replay-read-write';
import { WorkerProcess } from '../support/worker-process';

const PROCESSES = 6;
const OPERATIONS = 3_000;
const TTL_MS = 5_000;

interface Member {
  readonly worker: WorkerProcess;
  readonly done: Promise<unknown>;
  killedAt: number | undefined;
}

const stepsOf = ({ worker }: Member): ReadWriteStep[] =>
  worker.events.filter((event): event is ReadWriteStep => event.type === 'in' || event.type === 'out');
const operations = (members: readonly Member[]): number =>
  members.reduce((sum, member) => sum + new Set(stepsOf(member).map(({ permit }) => permit)).size, 0);

describe('six processes that read and write at random, of which some are killed', () => {
  it.each([true, false])(
    'never a writer with anyone else, and readers side by side (fair: %s)',
    async (fair) => {
      await using server = await TestServer.start();
      const members: Member[] = [];
      const join = async (): Promise<void> => {
        const worker = await WorkerProcess.start({ url: server.url });
        const plan = {
          name: 'config',
          ttl: TTL_MS,
          fair,
          writes: 0.15,
          work: { read: [5, 40], write: [0, 4] } as const,
        };
        const done = worker.request('readWriteChurn', { ...plan, seed: members.length + 1 });
        members.push({ worker, done, killedAt: undefined });
      };
      await (await WorkerProcess.start({ url: server.url })).request('ready');
      await using history = await History.open(server.url);
      await Promise.all(Array.from({ length: PROCESSES }, join));

      // Somebody who writes, somebody who reads, and whoever comes next, in whatever he is doing.
      for (const [i, mode] of (['write', 'read', undefined] as const).entries()) {
        await eventually(
          () => expect(operations(members)).toBeGreaterThan((OPERATIONS / 4) * (i + 1)),
          60_000,
        );
        const victim = await inside(
          members.filter(({ killedAt }) => killedAt === undefined),
          mode,
        );
        victim.killedAt = victim.worker.kill('SIGKILL');
        await victim.worker.exited;
        await join();
      }
      await eventually(() => expect(operations(members)).toBeGreaterThanOrEqual(OPERATIONS), 60_000);
      const alive = members.filter(({ killedAt }) => killedAt === undefined);
      await Promise.all(alive.map(({ worker }) => worker.request('endLoops')));
      await Promise.all(alive.map(({ done }) => done));

      const stays = members.flatMap((member) => staysOf(stepsOf(member), member.killedAt));
      const seen = readWriteReport(stays);
      expect(seen).toMatchObject({ overlaps: [], tokenFaults: [], mostReaders: PROCESSES });

      await eventually(
        async () => expect(replayReadWrite('config', await history.complete()).left).toEqual([]),
        20_000,
      );
      const stored = replayReadWrite('config', await history.complete());
      expect(stored).toMatchObject({ faults: [], overtaken: 0 });
      // Who waits to write waits for those before it, and for one claim of each process that had not heard of it yet.
      expect(stored.mostPassed).toBeLessThanOrEqual(1);
      expect(stored.queued > OPERATIONS / 20).toBe(fair);
      expect(stored.mostReaders).toBeGreaterThanOrEqual(PROCESSES);
      expect(stored.readers + stored.writers).toBeGreaterThanOrEqual(OPERATIONS);
      expect(Math.min(stored.readers, stored.writers)).toBeGreaterThan(OPERATIONS / 20);
    },
    240_000,
  );
});

/** One who is inside in that mode just now, or anyone. */
async function inside(members: readonly Member[], mode: 'read' | 'write' | undefined): Promise<Member> {
  const is = (member: Member): boolean => {
    const last = stepsOf(member).at(-1);
    return last !== undefined && (mode === undefined || (last.type === 'in' && last.mode === mode));
  };
  for (;;) {
    const found = members.find(is);
    if (found !== undefined) return found;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
