import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Absolute path of a file of this package, given relative to its root. Works from `src` and from the compiled, installed package. */
export function packageFile(path: string): string {
  for (let dir = __dirname; ; dir = dirname(dir)) {
    if (existsSync(join(dir, 'package.json')) && existsSync(join(dir, path))) return join(dir, path);
    if (dir === dirname(dir)) throw new Error(`nats-semaphore: ${path} is missing from the package`);
  }
}
