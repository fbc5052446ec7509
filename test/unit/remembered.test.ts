import { describe, expect, it } from '@jest/globals';
import { IdleCache } from '../../src/runtime/idle-cache';

const MOST = 10;

describe('things that are remembered', () => {
  it('are put away when nobody uses them any more, also while one alone is asked for', () => {
    const put: string[] = [];
    const kept = new IdleCache<{ idle: boolean }>(MOST, (key) => put.push(key));
    const things = Array.from({ length: 100 }, (_, i) => kept.get(`${i}`, () => ({ idle: false })));
    expect([kept.all.length, put]).toEqual([100, []]);
    for (const thing of things) thing.idle = true;
    for (let i = 0; i < 100; i++) expect(kept.get('99', () => ({ idle: true }))).toBe(things[99]);
    expect([kept.all.length, put.length, new Set(put).size]).toEqual([MOST, 100 - MOST, 100 - MOST]);
  });

  it('stay while they are in use, and so does the one that was asked for last', () => {
    const kept = new IdleCache<{ idle: boolean }>(MOST);
    const busy = Array.from({ length: 2 * MOST }, (_, i) => kept.get(`busy ${i}`, () => ({ idle: false })));
    for (let i = 0; i < 100; i++) {
      const thing = kept.get(`${i}`, () => ({ idle: true }));
      expect(kept.find(`${i}`)).toBe(thing);
    }
    expect(busy.map((_, i) => kept.find(`busy ${i}`))).toEqual(busy);
  });
});
