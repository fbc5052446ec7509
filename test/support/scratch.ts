import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from '@jest/globals';

/** A directory for files of a test, removed when its test file is done. */
export interface Scratch {
  readonly path: string;
  /** Writes a file there. Returns its path. */
  write(name: string, text: string | Uint8Array): string;
}

const made: string[] = [];

afterAll(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

export function scratchDirectory(): Scratch {
  const path = mkdtempSync(join(tmpdir(), 'nats-semaphore-test-'));
  made.push(path);
  return {
    path,
    write: (name, text) => {
      const file = join(path, name);
      writeFileSync(file, text, { mode: 0o600 });
      return file;
    },
  };
}
