/**
 * One worker process: asks for a permit, works while it holds it, gives it back, and again. All that keeps the workers
 * apart is the semaphore; what they report to the process that started them is for the display only.
 */
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NatsDispatcher } from '../../src';
import { type WorkerEvent, clock } from './events';
import { filesOf, hashFiles } from './hash-files';
import { NAME, ROUNDS, SLOTS, TTL_MS } from './settings';

type Unstamped<E> = E extends unknown ? Omit<E, 'at'> : never;

function report(event: Unstamped<WorkerEvent>): void {
  process.send?.({ at: clock(), ...event });
}

async function main(): Promise<void> {
  const files = await filesOf(join(__dirname, '..', '..'));
  const { DEMO_BUCKET: bucket, DEMO_HOLDER: holder } = process.env;
  await using dispatcher = await NatsDispatcher.connect({ bucket, holder, ttl: TTL_MS });
  await dispatcher.ready();
  report({ kind: 'ready' });
  await once(process, 'message');

  const semaphore = dispatcher.semaphore(NAME, SLOTS);
  for (let round = 1; round <= ROUNDS; round++) {
    report({ kind: 'wait', round });
    {
      await using permit = await semaphore.lock(30_000);
      const slot = permit.slots[0] as number;
      report({ kind: 'enter', round, slot, token: `${permit.fencingToken}` });
      const work = await hashFiles(files, 900 + Math.random() * 500, permit.signal);
      report({ kind: 'leave', round, slot, ...work });
    }
    await sleep(100 + Math.random() * 200);
  }
  report({ kind: 'done' });
}

// Ctrl-C reaches every process of a terminal; when this one ends is for the one that started it to say.
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit());
void main().then(
  () => process.disconnect(),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
