/**
 * Jobs of many tenants on many nodes: no tenant may keep all nodes busy. Each has a semaphore of its own; most may run one
 * job at a time, and an operator has given one of them more.
 *
 *   npx tsx examples/tenant-limits/main.ts
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Node, onNodes } from '../shared/nodes';

const TENANTS = ['small', 'big'];
const BY_DEFAULT = 1;
const FOR_BIG = 3;
const JOBS = 6;

async function work({ dir, dispatcher, name }: Node): Promise<void> {
  const log = (line: string): void => appendFileSync(join(dir, 'log'), `${line}\n`);
  // What an operator would do once, from anywhere.
  if (name === 'node 1') await dispatcher.semaphore('tenant:big').setPermits(FOR_BIG);
  const ready = dispatcher.latch('limits are set', 1);
  if (name === 'node 1') await ready.countDown();
  await ready.wait({ timeout: 30_000 });

  const jobs = Array.from({ length: JOBS }, (_, i) => TENANTS[i % TENANTS.length] as string);
  await Promise.all(
    jobs.map((tenant) =>
      // "adopt": the stored limit counts, whatever it is; the number here is for tenants nobody has set one for.
      dispatcher
        .semaphore(`tenant:${tenant}`, BY_DEFAULT, { limitPolicy: 'adopt' })
        .lock(30_000, async () => {
          log(`+ ${tenant}`);
          await sleep(50); // the job
          log(`- ${tenant}`);
        }),
    ),
  );
}

/** How many jobs of each tenant ran, and how many at once. */
function report(dir: string): void {
  const lines = readFileSync(join(dir, 'log'), 'utf8').trim().split('\n');
  for (const tenant of TENANTS) {
    let inside = 0;
    let most = 0;
    for (const line of lines) {
      if (line === `+ ${tenant}`) most = Math.max(most, ++inside);
      if (line === `- ${tenant}`) inside--;
    }
    const jobs = lines.filter((line) => line === `+ ${tenant}`).length;
    console.log(`${tenant}: ${jobs} jobs, at most ${most} at once`);
  }
}

void onNodes(4, work, () => ({ after: report }));
