import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

const SKIPPED = new Set(['node_modules', 'dist', 'coverage']);

/** All files of a checkout, apart from what was installed or built there. */
export async function filesOf(root: string): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await readdir(root, { withFileTypes: true })) {
    if (entry.name.startsWith('.') || SKIPPED.has(entry.name)) continue;
    const path = join(root, entry.name);
    if (entry.isDirectory()) files.push(...(await filesOf(path)));
    else if (entry.isFile()) files.push(path);
  }
  return files;
}

/** Hashes the files over and over until `ms` have passed. Stops with the signal's reason when that aborts. */
export async function hashFiles(
  files: readonly string[],
  ms: number,
  signal: AbortSignal,
): Promise<{ files: number; bytes: number }> {
  const until = performance.now() + ms;
  const done = { files: 0, bytes: 0 };
  for (let i = 0; performance.now() < until; i++) {
    signal.throwIfAborted();
    const content = await readFile(files[i % files.length] as string);
    createHash('sha256').update(content).digest();
    done.files++;
    done.bytes += content.length;
  }
  return done;
}
