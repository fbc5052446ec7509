import { describe, expect, it } from '@jest/globals';
import { matcher } from '../../src/store/pattern';

describe('a pattern of keys', () => {
  it.each([
    ['a.b', ['a.b'], ['a.bc', 'xa.b', 'a', 'a.b.c', 'axb']],
    ['a.*.c', ['a.b.c', 'a.=2E.c'], ['a.c', 'a.b.b.c', 'a.b.c.d']],
    ['a.>', ['a.b', 'a.b.c'], ['a', 'b.a', 'ab.c']],
    ['a.x|y(1)+.*', ['a.x|y(1)+.z'], ['a.x', 'y(1)+.z', 'a.x|y1.z']],
    ['a.b*', ['a.b*'], ['a.b', 'a.bb']],
  ])('%s', (pattern, matching, others) => {
    const concerns = matcher(['other', pattern]);
    expect(matching.filter((key) => !concerns(key))).toEqual([]);
    expect(others.filter(concerns)).toEqual([]);
    expect(concerns('other')).toBe(true);
  });
});
