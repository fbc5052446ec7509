import { describe, expect, it } from '@jest/globals';
import { type Step, occupancy } from '../support/occupancy';

let tokens = 0;

function stay(slot: number, from: number, to?: number, token = ++tokens, name = 'n'): Step[] {
  const step = { name, slot, permit: `p${token}`, token: `${token}` };
  const enter: Step = { ...step, type: 'enter', at: from };
  return to === undefined ? [enter] : [enter, { ...step, type: 'leave', at: to }];
}

describe('occupancy', () => {
  it('sees how many were in at once, across the logs of several processes', () => {
    const one = [...stay(0, 0, 10), ...stay(0, 12, 20)];
    const two = [...stay(1, 5, 11), ...stay(1, 13, 14)];
    const seen = occupancy(one, two);
    expect(seen).toEqual({ peak: { n: 2 }, overlaps: [], tokenFaults: [], stays: 4 });
  });

  it('finds one planted overlap of a slot among many stays', () => {
    const clean = Array.from({ length: 200 }, (_, i) => stay(i % 3, i * 10, i * 10 + 25)).flat();
    expect(occupancy(clean)).toMatchObject({ peak: { n: 3 }, overlaps: [], tokenFaults: [] });
    const planted = stay(1, 1_000.5, 1_001);
    const seen = occupancy(clean, planted);
    expect(seen.peak).toEqual({ n: 4 });
    expect(seen.overlaps).toHaveLength(1);
    expect(seen.overlaps[0]).toMatchObject({ name: 'n', slot: 1, from: 1_000.5, ms: 0.5 });
  });

  it('does not take a hand-over at the same instant for an overlap', () => {
    const first = stay(0, 0, 10);
    const second = stay(0, 10, 20);
    expect(occupancy(second, first)).toMatchObject({ peak: { n: 1 }, overlaps: [], tokenFaults: [] });
  });

  it('lets a stay that was never ended last for ever', () => {
    expect(occupancy(stay(0, 0), stay(0, 99, 100)).overlaps).toHaveLength(1);
    expect(occupancy(stay(0, 0, 50), stay(0, 99, 100)).overlaps).toHaveLength(0);
  });

  it('finds an overlap with a stay that began before the last one', () => {
    const seen = occupancy(stay(0, 0, 100), stay(0, 10, 20), stay(0, 50, 60));
    expect(seen.overlaps).toHaveLength(2);
    expect(seen.peak).toEqual({ n: 2 });
  });

  it('finds a token that did not grow', () => {
    const seen = occupancy(stay(0, 0, 10, 7), stay(0, 20, 30, 6));
    expect(seen.tokenFaults).toEqual([{ name: 'n', slot: 0, tokens: ['7', '6'] }]);
  });

  it('keeps names apart', () => {
    const seen = occupancy(stay(0, 0, 10, 1, 'a'), stay(0, 0, 10, 1, 'b'));
    expect(seen).toMatchObject({ peak: { a: 1, b: 1 }, overlaps: [], tokenFaults: [] });
  });

  it('refuses a log that makes no sense', () => {
    const [enter, leave] = stay(0, 0, 1) as [Step, Step];
    expect(() => occupancy([leave])).toThrow('without entering');
    expect(() => occupancy([enter, enter])).toThrow('twice');
  });
});
