import { spawnSync } from 'node:child_process';
import { describe, it } from '@jest/globals';

const works = (tool: string): boolean => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status === 0;

/** Other languages are not needed to build or use the package, so a machine may lack them: what needs one is skipped there, and says so. */
export function describeWith(tool: 'python3' | 'curl', what: string, tests: () => void): void {
  if (works(tool)) describe(what, tests);
  else describe.skip(`${what} (there is no ${tool} on this machine)`, tests);
}

export function itWith(tool: 'python3' | 'curl', what: string, test: () => Promise<void>): void {
  if (works(tool)) it(what, test);
  else it.skip(`${what} (there is no ${tool} on this machine)`, test);
}
