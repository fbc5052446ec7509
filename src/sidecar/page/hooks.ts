import type { RefObject } from 'preact';
import { useEffect, useState } from 'preact/hooks';

/** One timer for everything that shows how time passes. */
const tickers = new Set<() => void>();
setInterval(() => {
  for (const tick of tickers) tick();
}, 1_000);

/** The time; draws again every second while `on`. */
export function useNow(on: boolean): number {
  const [, setTick] = useState(0);
  useEffect(() => {
    if (!on) return;
    const tick = (): void => setTick((n) => n + 1);
    tickers.add(tick);
    return () => void tickers.delete(tick);
  }, [on]);
  return Date.now();
}

/** Whether an element is on the screen, or close to it, and how high it was when it last left. */
export interface Sight {
  readonly visible: boolean;
  readonly height: number;
}

const UNSEEN: Sight = { visible: false, height: 0 };
const seen = new Map<Element, (sight: Sight) => void>();
const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting, boundingClientRect } of entries) {
      seen.get(target)?.({ visible: isIntersecting, height: boundingClientRect.height });
    }
  },
  { rootMargin: '400px' },
);

/** What is not in sight need not be drawn. Only looks while `on`. */
export function useSight(ref: RefObject<Element | null>, on: boolean): Sight {
  const [sight, setSight] = useState(UNSEEN);
  useEffect(() => {
    const element = ref.current;
    if (element === null || !on) return;
    seen.set(element, setSight);
    observer.observe(element);
    return () => {
      observer.unobserve(element);
      seen.delete(element);
      setSight(UNSEEN);
    };
  }, [ref, on]);
  return sight;
}
