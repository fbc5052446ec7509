/**
 * A process that takes the lock and writes for as long as it lives. It is careless: it never looks at `permit.isHeld` nor at
 * `permit.signal`, as code may that is paused between its look and its write. It shows its fencing token with each write.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { NatsDispatcher } from '../../src';

const TTL_MS = 2_000;
const PAUSE_MS = 50;

async function main(): Promise<void> {
  const [writer = '', servers, resource = ''] = process.argv.slice(2);
  process.on('disconnect', () => process.exit(0)); // whoever started us is gone, or done
  const dispatcher = await NatsDispatcher.connect({ servers, holder: writer });
  const permit = await dispatcher.semaphore('ledger', 1, { ttl: TTL_MS }).acquire();
  for (let line = 1; ; line++) {
    const headers = { writer, 'fencing-token': String(permit.fencingToken) };
    await fetch(resource, { method: 'PUT', headers, body: `line ${line} of ${writer}` });
    await sleep(PAUSE_MS);
  }
}

void main();
