import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { BREAKS, brokenCopy } from '../campaign/broken';

describe('a protection that a campaign can take out', () => {
  it.each(Object.keys(BREAKS))('is where it is looked for: %s', (name) => {
    const folder = mkdtempSync(join(tmpdir(), 'broken-'));
    try {
      expect(brokenCopy(name, join(folder, 'src'))).toBe(join(folder, 'src'));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('is not anything else', () => {
    expect(() => brokenCopy('nothing', '/nowhere')).toThrow('nothing is called "nothing"');
  });
});
