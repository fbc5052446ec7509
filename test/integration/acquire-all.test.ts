import { describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { History } from '../support/history';
import { WorkerError, WorkerProcess } from '../support/worker-process';

const WAIT_MS = 3_000;

/** The name of the error with which it ended, or how it ended otherwise, at most `WAIT_MS` from now. */
async function outcome(asked: Promise<unknown>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve('still waiting'), WAIT_MS);
  });
  const ended = asked.then(
    () => 'granted',
    (error: unknown) => (error instanceof WorkerError ? `${error.name}` : String(error)),
  );
  try {
    return await Promise.race([ended, late]);
  } finally {
    clearTimeout(timer);
  }
}

describe('slots of two semaphores at once', () => {
  it('wanted in opposite order by two processes, each 100 times: no deadlock', async () => {
    await using server = await TestServer.start();
    await using history = await History.open(server.url);
    const [one, two] = await WorkerProcess.startAll(2, { url: server.url });
    await one!.request('setPermits', { name: 'a', slots: 2 });
    await one!.request('setPermits', { name: 'b', slots: 2 });
    const wants = [
      { name: 'a', count: 2 },
      { name: 'b', count: 1 },
    ];
    const turned = [
      { name: 'b', count: 1 },
      { name: 'a', count: 2 },
    ];
    const rounds = async (worker: WorkerProcess, what: typeof wants): Promise<void> => {
      for (let i = 0; i < 100; i++) {
        const { permit } = await worker.request('acquireAll', { wants: what });
        await worker.request('release', { permit });
      }
    };
    await Promise.all([rounds(one!, wants), rounds(two!, turned)]);
    await history.complete();
    for (const name of ['a', 'b']) expect(await two!.request('availablePermits', { name })).toBe(2);
  });

  it('who waits for more than there are after a limit was lowered is refused', async () => {
    await using server = await TestServer.start();
    const [one, two] = await WorkerProcess.startAll(2, { url: server.url });
    for (const name of ['a', 'b']) await one!.request('setPermits', { name, slots: 3 });
    const { permit } = await one!.request('acquire', { name: 'a' });
    const single = two!.request('acquire', { name: 'a', options: { count: 3 } });
    const wants = [{ name: 'a', count: 3 }, { name: 'b' }];
    const both = two!.request('acquireAll', { wants });
    // By its answer the other two are in line, too.
    await two!.request('acquire', { name: 'a', options: { count: 3, timeout: 100 } }).catch(() => undefined);
    await one!.request('setPermits', { name: 'a', slots: 2 });
    await one!.request('release', { permit });
    expect(await outcome(single)).toBe('RangeError');
    expect(await outcome(both)).toBe('RangeError');
  });

  it('who runs out of time because others hold them is told that, not that the server is away', async () => {
    await using server = await TestServer.start();
    const [gate, ...workers] = await WorkerProcess.startAll(4, { url: server.url });
    const held: string[] = [];
    for (const name of ['a', 'b']) {
      await gate!.request('setPermits', { name, slots: 3 });
      held.push((await gate!.request('acquire', { name, options: { count: 3 } })).permit);
    }
    const churning = workers.map((worker, i) =>
      worker.request('churn', {
        seed: i + 1,
        names: ['a', 'b'],
        loops: 10,
        total: 300,
        most: 3,
        // Long enough for an answer, on a busy machine, too.
        patience: [2_000, 2_500],
      }),
    );
    // Out of time after all of the first who were to run out of it.
    const late = { wants: [{ name: 'a' }, { name: 'b' }], options: { timeout: 2_500 } };
    await Promise.all(
      workers.map((worker) =>
        expect(worker.request('acquireAll', late)).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' }),
      ),
    );
    for (const permit of held) await gate!.request('release', { permit });
    const results = await Promise.all(churning);
    console.log(results.map(({ timedOut, unanswered }) => ({ timedOut, unanswered })));
    expect(results.flatMap(({ errors }) => errors)).toEqual([]);
    expect(results.reduce((sum, { timedOut }) => sum + timedOut, 0)).toBeGreaterThan(0);
    expect(results.map(({ unanswered }) => unanswered)).toEqual([0, 0, 0]);
  });
});
