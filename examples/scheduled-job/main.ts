/**
 * A job is due at certain times. Every node has the schedule, so that it runs as long as any node does; each time, one of
 * them runs it.
 *
 *   npx tsx examples/scheduled-job/main.ts
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Node, onNodes } from '../shared/nodes';

const EVERY_MS = 500;
const TIMES = 3;

async function keepSchedule({ dir, dispatcher, name }: Node): Promise<void> {
  const job = dispatcher.mutex('nightly report');
  const record = join(dir, 'last-run');
  const lastRun = (): number => (existsSync(record) ? Number(readFileSync(record, 'utf8')) : -1);

  const begun = Number(process.env.BEGUN);
  for (let run = 0; run < TIMES; run++) {
    await sleep(Math.max(0, begun + run * EVERY_MS - Date.now()));
    // Waiting is right here, not tryAcquire: if the one who runs it dies, another one takes over.
    await job.lock(30_000, async () => {
      if (lastRun() >= run) return;
      console.log(`run ${run} on ${name}`);
      await sleep(50); // the job
      writeFileSync(record, String(run)); // where the job's results go, best in the same transaction
    });
  }
}

void onNodes(3, keepSchedule, () => ({ env: { BEGUN: String(Date.now() + 1_500) } }));
