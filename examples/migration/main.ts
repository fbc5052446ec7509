/**
 * Three nodes of a service start at the same time, and the database has to be migrated first: once, by one of them, while
 * the others wait.
 *
 *   npx tsx examples/migration/main.ts
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Node, onNodes } from '../shared/nodes';

const TARGET = 2;

async function start({ dir, dispatcher, name }: Node): Promise<void> {
  const schema = join(dir, 'schema');
  const version = (): number => (existsSync(schema) ? Number(readFileSync(schema, 'utf8')) : 0);

  await dispatcher.mutex('migration').lock(30_000, async (permit) => {
    // Whoever comes second finds it done.
    if (version() === TARGET) return console.log(`${name}: nothing to migrate`);
    console.log(`${name}: migrates`);
    for (let step = version() + 1; step <= TARGET; step++) {
      permit.signal.throwIfAborted(); // the lock was lost: somebody else may be at it
      await sleep(100); // ALTER TABLE ...
      writeFileSync(schema, String(step));
    }
  });
  console.log(`${name}: serves version ${version()}`);
}

void onNodes(3, start);
