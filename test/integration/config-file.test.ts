import { describe, expect, it } from '@jest/globals';
import { runScript } from '../support/run-script';

/** Runs the example, and takes the figures out of what it says. */
async function play(...args: string[]): Promise<Record<string, number>> {
  const { code, stdout, stderr } = await runScript('../../examples/config-file/main.ts', args, 90_000);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const [reads, processes, broken, changes, inFile, together] = [...stdout.matchAll(/\d+/g)].map(Number);
  return { reads, processes, broken, changes, inFile, together } as Record<string, number>;
}

describe('examples/config-file: a file that many read and some change', () => {
  it('is always whole under the lock, no change is lost, and readers are side by side', async () => {
    const found = await play();
    expect(found.broken).toBe(0);
    expect(found.inFile).toBe(found.changes);
    expect(found.reads).toBeGreaterThan(200);
    expect(found.together).toBeGreaterThan(1);
  }, 100_000);

  it('is not without it', async () => {
    const found = await play('--unlocked');
    expect((found.broken as number) + ((found.changes as number) - (found.inFile as number))).toBeGreaterThan(
      0,
    );
  }, 100_000);
});
