import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Lab } from './lab';

/** A way to break the library, and the story that must fail then. */
export interface Variant {
  readonly lab: () => Lab;
  readonly caughtBy: string;
  /** Breaks it; returns how to put it back. */
  readonly setUp?: () => () => void;
}

/** @param failure what the story fails with */
export function describeCaught(
  what: string,
  variants: Readonly<Record<string, Variant>>,
  stories: Readonly<Record<string, (lab: Lab) => Promise<void>>>,
  failure: RegExp,
): void {
  describe(what, () => {
    let mend: (() => void) | undefined;
    let lab: Lab;

    beforeEach(() => {
      mend = undefined;
    });
    afterEach(async () => {
      mend?.();
      await lab.close();
    });

    it.each(Object.entries(variants))('%s is caught', async (_, variant) => {
      lab = variant.lab();
      mend = variant.setUp?.();
      const tell = stories[variant.caughtBy];
      await expect(tell?.(lab)).rejects.toThrow(failure);
    });
  });
}
