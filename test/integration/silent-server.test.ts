import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { eventually } from '../support/eventually';
import { monotonicMs } from '../support/monotonic';
import { WorkerError, WorkerProcess } from '../support/worker-process';

/** Longer than one read goes on (5 s), shorter than the client takes to drop a silent connection (10 s). */
const SILENCE_MS = 8_000;

describe('a server that says nothing for a while, on a connection that stays open', () => {
  it.each(['before', 'never before'])(
    'serves tryAcquire when it goes on, of a name used %s',
    async (used) => {
      await using server = await TestServer.start();
      await using worker = await WorkerProcess.start({ url: server.url });
      await worker.request('ready');
      const ask = { name: 'n', ttl: 1_000 };
      if (used === 'before') await worker.request('loop', { ...ask, loops: 1, total: 1, work: 0 });
      server.pause();
      const silence = sleep(SILENCE_MS);
      const from = monotonicMs();
      const error = await worker.request('tryAcquire', ask).then(
        () => undefined,
        (reason: unknown) => reason as WorkerError,
      );
      expect(error).toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
      expect(error!.at - from).toBeLessThan(4_000);
      await silence;
      server.resume();
      const resumedAt = monotonicMs();
      await eventually(async () => expect(await worker.request('tryAcquire', ask)).not.toBeNull(), 5_000);
      console.log(`served ${(monotonicMs() - resumedAt).toFixed(0)} ms after the server went on`);
    },
  );
});
