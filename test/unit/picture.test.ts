import { describe, expect, it } from '@jest/globals';
import { EntryCache } from '../../src/state/entry-cache';

const entry = (revision: number, value: string | null, ttl = 30_000) => ({
  key: 'k',
  revision,
  value,
  ttl,
  writtenAt: 0,
});

describe('a picture', () => {
  it('only moves forward, in whatever order it hears', () => {
    const picture = new EntryCache();
    expect(picture.apply(entry(5, 'new'), 0)).toBe(true);
    expect(picture.apply(entry(4, 'old'), 1)).toBe(false);
    expect(picture.apply(entry(5, 'new'), 2)).toBe(false);
    expect(picture.get('k')?.value).toBe('new');
  });

  it('does not let an answer that nothing is there undo what was announced after the question', () => {
    const picture = new EntryCache();
    picture.apply(entry(5, null), 0);
    picture.apply(entry(9, 'held'), 10);
    expect(picture.learnRevision('k', 0, 9)).toBe(false);
    expect(picture.get('k')?.value).toBe('held');
    expect(picture.learnRevision('k', 0, 11)).toBe(true);
    expect(picture.get('k')).toMatchObject({ revision: 0, value: null });
  });

  it('expects a removal marker for as long as it stays, and then nothing', () => {
    const picture = new EntryCache();
    picture.apply(entry(5, null, 1_000), 100);
    expect([1_099, 1_100].map((now) => picture.expectedIfFree('k', now))).toEqual([5, 0]);
    expect(picture.learnRevision('k', 5, 1_150)).toBe(true);
    expect(picture.expectedIfFree('k', 1_200)).toBe(5);
    expect(picture.learnRevision('k', 7, 1_150)).toBe(false);
  });

  it('expects a marker no longer because it was read again, unless it should have been gone by then', () => {
    const picture = new EntryCache();
    picture.apply(entry(5, null, 30_000), 0);
    picture.apply(entry(5, null, 30_000), 20_000);
    expect([29_999, 30_000].map((now) => picture.expectedIfFree('k', now))).toEqual([5, 0]);
    picture.apply(entry(5, null, 30_000), 31_000);
    expect(picture.expectedIfFree('k', 32_000)).toBe(5);
  });

  it('expects a marker without a ttl for ever', () => {
    const picture = new EntryCache();
    picture.apply({ ...entry(5, null), ttl: undefined }, 0);
    expect(picture.expectedIfFree('k', 1e9)).toBe(5);
  });

  it('forgets what a read does not find, unless it was heard of since', () => {
    const picture = new EntryCache();
    picture.apply(entry(5, 'held'), 100);
    expect(picture.retainOnly(new Set(), 100)).toBe(false);
    expect(picture.retainOnly(new Set(), 101)).toBe(true);
    expect(picture.get('k')).toBeUndefined();
  });

  it('keeps until when an earlier entry with a longer ttl may last, for the marker of what is removed', () => {
    const picture = new EntryCache();
    expect(picture.lastsUntil('k')).toBeUndefined();
    picture.apply(entry(5, 'held', 60_000), 1_000);
    picture.apply(entry(6, 'handed on', 6_000), 11_000);
    expect(picture.lastsUntil('k')).toBe(61_000);
    expect(picture.removable(entry(6, 'handed on', 6_000), 12_000).ttl).toBe(49_000);
    picture.apply(entry(7, null, 1_000), 17_000);
    picture.learnRevision('k', 0, 19_000);
    expect(picture.lastsUntil('k')).toBe(61_000);
  });

  it('forgets the earlier entries that do not outlast the last one', () => {
    const picture = new EntryCache();
    picture.apply(entry(5, 'held', 30_000), 1_000);
    picture.apply(entry(6, 'renewed', 30_000), 11_000);
    expect(picture.get('k')?.earlier).toBeUndefined();
    expect(picture.removable(entry(6, 'renewed', 30_000), 12_000).ttl).toBe(30_000);
    expect(picture.removable({ ...entry(6, 'x'), ttl: undefined }, 12_000).ttl).toBeUndefined();
  });
});
