import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A file of this package, given relative to its root: the same from `src` and from what is compiled and installed. */
export function packageFile(path: string): string {
  for (let dir = __dirname; ; dir = dirname(dir)) {
    if (existsSync(join(dir, 'package.json')) && existsSync(join(dir, path))) return join(dir, path);
    if (dir === dirname(dir)) throw new Error(`nats-semaphore: ${path} is missing from the package`);
  }
}
