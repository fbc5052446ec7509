import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { formatDuration, parseDuration } from '../../src/cli/durations';
import { UsageError } from '../../src/cli/exit-codes';
import { termsOf } from '../../src/cli/run/terms';
import { checkSafetyMargin } from '../../src/api/option-checks';

describe('durations', () => {
  it.each([
    ['0', 0],
    ['500ms', 500],
    ['30s', 30_000],
    ['1.5m', 90_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
  ])('%s', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['', '30', '-5s', '5 s', 's', '1e3ms', '5S', '1y', '5sec', ' 5s'])('not "%s"', (text) =>
    expect(() => parseDuration(text)).toThrow('number and a unit'),
  );

  it('are shown short', () => {
    expect([0, 850, 12_345, 180_000].map(formatDuration)).toEqual(['0ms', '850ms', '12s', '3m']);
  });
});

describe('the times of run', () => {
  const ttls = fc.integer({ min: 1_000, max: 86_400_000 });

  it('leave the grace and a reserve before the end of every lease, and half of it for renewals', () => {
    fc.assert(
      fc.property(ttls, fc.option(fc.integer({ min: 0, max: 60_000 }), { nil: undefined }), (ttl, asked) => {
        let terms;
        try {
          terms = termsOf(ttl, asked);
        } catch (error) {
          // Never of what was not asked for.
          expect([asked === undefined, error instanceof UsageError]).toEqual([false, true]);
          return;
        }
        const { grace, safetyMargin, slack } = terms;
        expect(grace).toBe(asked ?? Math.min(5_000, ttl / 4));
        // The keeper acts after us, and early enough for the grace all the same.
        expect(slack).toBeGreaterThanOrEqual(Math.min(500, ttl / 10));
        expect(safetyMargin - slack).toBeGreaterThanOrEqual(grace + Math.min(500, ttl / 10) - 1e-6);
        expect(() => checkSafetyMargin(safetyMargin, ttl)).not.toThrow();
      }),
    );
  });

  it('name the shortest ttl that a grace can have', () => {
    fc.assert(
      fc.property(ttls, fc.integer({ min: 300, max: 60_000 }), (ttl, grace) => {
        let least: number | undefined;
        try {
          termsOf(ttl, grace);
        } catch (error) {
          least = Number(/at least (\d+) ms/.exec((error as Error).message)?.[1]);
        }
        if (least === undefined) return;
        expect(least).toBeGreaterThan(ttl);
        expect(() => termsOf(least, grace)).not.toThrow();
        expect(() => termsOf(least - 2, grace)).toThrow(UsageError);
      }),
    );
  });
});
