import { execFile } from 'node:child_process';

import { packageFile } from '../runtime/package-root';

const FETCH_TIMEOUT = 10 * 60_000;

let found: Promise<string> | undefined;

/**
 * The path of a nats-server new enough, as `scripts/nats-server path` finds or fetches it. Looked for once a process,
 * and again only after a failure.
 */
export function serverBinary(): Promise<string> {
  found ??= find().catch((error: unknown) => {
    found = undefined;
    throw error;
  });
  return found;
}

function find(): Promise<string> {
  return new Promise((resolve, reject) => {
    const args = [packageFile('scripts/nats-server'), 'path'];
    execFile('bash', args, { timeout: FETCH_TIMEOUT }, (error, stdout, stderr) => {
      if (error) reject(new Error(`No nats-server to test with.\n${stderr.trim()}`, { cause: error }));
      else resolve(stdout.trim());
    });
  });
}
