import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Builds the sidecar's page, and fetches the server, before the first test, so that no test's own time limit has to cover a download. */
export default async function globalSetup(): Promise<void> {
  const script = join(__dirname, '..', '..', 'scripts', 'nats-server');
  // Progress goes to the terminal; of the output only the path is wanted.
  const path = execFileSync('bash', [script, 'path'], { stdio: ['ignore', 'pipe', 'inherit'] });
  execFileSync(process.execPath, [join(__dirname, '..', '..', 'scripts', 'build-page.mjs')]);
  process.env.NATS_SERVER_BIN = path.toString().trim();
}
