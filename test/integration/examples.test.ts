import { describe, expect, it } from '@jest/globals';
import { runScript } from '../support/run-script';
import { itWith } from '../support/tools';

/** Runs an example as its header says. Its lines, sorted: nodes talk in any order. */
async function play(name: string): Promise<string[]> {
  const { code, stderr, stdout } = await runScript(`../../examples/${name}/main.ts`, [], 60_000);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout.trim().split('\n').sort();
}

const count = (lines: readonly string[], pattern: RegExp): number =>
  lines.filter((line) => pattern.test(line)).length;

describe('the examples', () => {
  it('migration: once, and all serve the new version', async () => {
    const lines = await play('migration');
    expect([count(lines, /: migrates$/), count(lines, /: nothing to migrate$/)]).toEqual([1, 2]);
    expect(count(lines, /: serves version 2$/)).toBe(3);
  });

  it('scheduled-job: each run on one node', async () => {
    const lines = await play('scheduled-job');
    expect(lines.map((line) => line.replace(/node \d/, 'a node'))).toEqual(
      [0, 1, 2].map((run) => `run ${run} on a node`),
    );
  });

  it('tenant-limits: all jobs run, no tenant more than it may', async () => {
    expect(await play('tenant-limits')).toEqual([
      'big: 12 jobs, at most 3 at once',
      'small: 12 jobs, at most 1 at once',
    ]);
  });

  it('cache-refresh: one refreshes, all get it', async () => {
    const lines = await play('cache-refresh');
    expect(count(lines, /: refreshes$/)).toBe(1);
    expect(count(lines, /: served (old, then )?fresh$/)).toBe(3);
  });

  itWith('python3', 'sidecar: workers in Python, one of which loses its sidecar', async () => {
    const lines = await play('sidecar');
    expect(lines.slice(0, 1)).toEqual(['at most 2 of 3 workers at once, 2 allowed']);
    expect(count(lines, /^pod [23]: all 60 done$/)).toBe(2);
    expect(count(lines, /^pod 1 lost its sidecar after \d+ pieces of work$/)).toBe(1);
  });

  it('outside-api: every call is let in, two at a time', async () => {
    expect(await play('outside-api')).toEqual(['20 calls, at most 2 at once']);
  });
});
