import { describe, expect, it } from '@jest/globals';
import { newId } from '../../src/runtime/id';

describe('an id', () => {
  it('is never the same, legal in a key, and no option on a command line', () => {
    const ids = Array.from({ length: 20_000 }, newId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter((id) => !/^[A-Za-z0-9][A-Za-z0-9_-]{15}$/.test(id))).toEqual([]);
    // Every other character that there is does come first.
    expect(new Set(ids.map(([first]) => first)).size).toBe(62);
  });
});
