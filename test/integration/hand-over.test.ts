import { describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { eventually } from '../support/eventually';
import { History } from '../support/history';
import { occupancy } from '../support/occupancy';
import { replayQueue } from '../support/replay';
import { WorkerProcess } from '../support/worker-process';

const PROCESSES = 4;
const TOTAL = 1_200;

describe(`${PROCESSES} processes that take turns in a fair queue`, () => {
  it.each([1, 3])(
    'give %i slots to one another, in the order of the queue, and none is lost on the way',
    async (slots) => {
      await using server = await TestServer.start();
      await using history = await History.open(server.url);
      const workers = await WorkerProcess.startAll(PROCESSES, { url: server.url });
      await Promise.all(workers.map((worker) => worker.request('ready')));
      const ask = { name: 'turns', slots, fair: true, ttl: 30_000 };
      const share = { ...ask, loops: 1, total: TOTAL / PROCESSES, work: 1 };
      const done = await Promise.all(workers.map((worker) => worker.request('loop', share)));

      const changes = await history.complete();
      const { inversions, above, stalls } = replayQueue(ask.name, changes);
      const given = changes.filter(({ value }) => value?.includes('"given"')).length;
      const longest = Math.max(0, ...stalls.map(({ ms }) => ms));
      console.log(
        `${TOTAL} acquisitions, ${given} times given, longest time that a slot stood empty ${longest} ms`,
      );
      expect(done.map((each) => each.lost)).toEqual(workers.map(() => 0));
      expect({ inversions, above }).toEqual({ inversions: [], above: [] });
      expect(given).toBeGreaterThan(TOTAL / 4);
      const seen = occupancy(...workers.map(({ steps }) => steps));
      expect(seen).toEqual({ peak: { turns: slots }, overlaps: [], tokenFaults: [], stays: TOTAL });
      // What was given to one who did not need it comes back a moment later.
      await eventually(async () =>
        expect(await workers[0]!.request('availablePermits', { name: ask.name })).toBe(slots),
      );
    },
  );
});
