/**
 * A cached value has gone stale, and all nodes notice at the same time. One of them refreshes it; the others serve the old value
 * meanwhile instead of waiting, or asking the database too.
 *
 *   npx tsx examples/cache-refresh/main.ts
 */
import { readFileSync, renameSync, writeFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Node, onNodes } from '../shared/nodes';

async function serve({ dir, dispatcher, name }: Node): Promise<void> {
  const path = join(dir, 'cache');
  const cached = (): string => (existsSync(path) ? readFileSync(path, 'utf8') : 'old');

  async function get(): Promise<string> {
    const value = cached();
    if (value !== 'old') return value;
    await using permit = await dispatcher.mutex('refresh:prices').tryAcquire();
    // Look again: it may have been refreshed between the look and the lock.
    if (permit === null || cached() !== 'old') return cached();
    console.log(`${name}: refreshes`);
    await sleep(300); // the expensive query
    writeFileSync(`${path}.new`, 'fresh');
    renameSync(`${path}.new`, path);
    return cached();
  }

  const seen = new Set<string>();
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await sleep(20)) {
    seen.add(await get());
    if (seen.has('fresh')) break;
  }
  console.log(`${name}: served ${[...seen].join(', then ')}`);
}

void onNodes(3, serve);
