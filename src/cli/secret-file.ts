import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { UsageError } from './exit-codes';

/** Longer than any password or token, and short enough for `/dev/zero` by mistake. */
const MAX_BYTES = 65_536;

/**
 * The secret in a file: its only line, without the line end. The file is read now, and again at each call, so that a secret that
 * is replaced counts from then on. A pipe (`<(...)` of a shell) has it once: that value stays.
 * @throws UsageError if the file can not be read, is empty, or has several lines
 */
export function secretFile(flag: string, path: string): () => string {
  const first = read(flag, path);
  return () => (first.again ? read(flag, path).secret : first.secret);
}

function read(flag: string, path: string): { secret: string; again: boolean } {
  const refuse = (why: string, cause?: unknown): never => {
    throw new UsageError(`--${flag}: ${why}`, { cause });
  };
  let text = '';
  let again = false;
  try {
    const file = openSync(path, 'r');
    try {
      const stat = fstatSync(file);
      again = stat.isFile();
      if (again ? stat.size > MAX_BYTES : !stat.isFIFO())
        refuse(`${path} is not a file of at most 64 KB, nor a pipe`);
      text = readFileSync(file, 'utf8');
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (error instanceof UsageError) throw error;
    refuse((error as Error).message, error);
  }
  const secret = text.replace(/\r?\n$/, '');
  if (secret === '') refuse(`${path} is empty`);
  if (/[\r\n]/.test(secret)) refuse(`${path} has several lines; needed is one, the secret`);
  return { secret, again };
}
