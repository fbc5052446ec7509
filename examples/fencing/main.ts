/**
 * Why a lock alone is not enough, and what a fencing token adds. Process A holds the lock and writes; it is stopped for
 * longer than its ttl; B gets the lock and writes; A goes on where it stood, and writes. The resource refuses A.
 *
 *   npx tsx examples/fencing/main.ts             what should happen
 *   npx tsx examples/fencing/main.ts --unfenced  what happens if the resource does not look at the token
 */
import { type ChildProcess, fork } from 'node:child_process';
import { EventEmitter, on } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestServer } from '../../src/testing';
import { FencedFile } from './fenced-file';
import { type Attempt, serve } from './resource';

const LIMIT_MS = 60_000;

async function main(): Promise<void> {
  const fenced = !process.argv.includes('--unfenced');
  const dir = mkdtempSync(join(tmpdir(), 'fencing-'));
  const file = new FencedFile(join(dir, 'ledger.json'));
  const heard = new EventEmitter();
  const attempts = on(heard, 'attempt', { signal: AbortSignal.timeout(LIMIT_MS) });
  await using server = await TestServer.start();
  const resource = await serve(
    (token, text) => file.write(fenced ? token : 2n ** 63n, text),
    (attempt) => heard.emit('attempt', attempt),
  );
  const children: ChildProcess[] = [];
  const start = (writer: string): ChildProcess => {
    const args = [writer, server.url, resource.url];
    const child = fork(join(__dirname, 'holder.ts'), args, { execArgv: ['--import', 'tsx'] });
    children.push(child);
    return child;
  };
  /** Tells of every attempt until the writer has made some more. */
  const follow = async (writer: string, count: number): Promise<void> => {
    while (count > 0) {
      const next = (await attempts.next()) as IteratorResult<[Attempt]>;
      const [attempt] = next.value as [Attempt];
      console.log(`${attempt.accepted ? 'written' : 'REFUSED'} ${attempt.writer} ${attempt.token}`);
      if (attempt.writer === writer) count--;
    }
  };
  try {
    const a = start('A');
    await follow('A', 3);
    start('B');
    console.log('# A is stopped');
    a.kill('SIGSTOP');
    await follow('B', 3);
    console.log('# A goes on');
    a.kill('SIGCONT');
    await follow('A', 3);
    console.log(`# the ledger says: ${file.text}`);
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await resource.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

void main();
