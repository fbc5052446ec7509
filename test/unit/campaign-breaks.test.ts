import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { BREAKS, brokenCopy } from '../campaign/broken';

// Within the repository, so that the copy finds the packages that it needs.
const SCRATCH = join(__dirname, '..', '..', '.cache', 'faults');

describe('a protection that a campaign can take out', () => {
  it.each(Object.keys(BREAKS))('is where it is looked for, and what is left runs: %s', (name) => {
    mkdirSync(SCRATCH, { recursive: true });
    const folder = mkdtempSync(join(SCRATCH, 'broken-'));
    try {
      const library = brokenCopy(name, join(folder, 'src'));
      const load = `console.log(typeof require(${JSON.stringify(join(library, 'index.ts'))}).NatsDispatcher)`;
      const said = execFileSync(process.execPath, ['--import', 'tsx', '-e', load], { encoding: 'utf8' });
      expect(said.trim()).toBe('function');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('is not anything else', () => {
    expect(() => brokenCopy('nothing', '/nowhere')).toThrow('nothing is called "nothing"');
  });
});
