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

const seen = new Map<Element, (visible: boolean) => void>();
const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) seen.get(target)?.(isIntersecting);
  },
  { rootMargin: '400px' },
);

/** Whether an element is on the screen, or close to it. What is not need not be drawn. */
export function useVisible(ref: RefObject<Element | null>): boolean {
  const [visible, setVisible] = useState(false);
  useEffect(() => {
    const element = ref.current;
    if (element === null) return;
    seen.set(element, setVisible);
    observer.observe(element);
    return () => {
      observer.unobserve(element);
      seen.delete(element);
    };
  }, [ref]);
  return visible;
}
