import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { reaper } from '../../src/testing/reaper';

export interface ScriptResult {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a TypeScript program to its end; one that does not come to it in `ms` is killed. */
export async function runScript(path: string, args: readonly string[], ms = 20_000): Promise<ScriptResult> {
  const child = spawn(process.execPath, ['--import', 'tsx', join(__dirname, path), ...args], {
    cwd: join(__dirname, '..', '..'),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { pid } = child;
  if (pid !== undefined) reaper.watchChild(pid);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  const timer = setTimeout(() => child.kill('SIGKILL'), ms);
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  clearTimeout(timer);
  if (pid !== undefined) reaper.forgetChild(pid);
  return { code, signal, stdout, stderr };
}
