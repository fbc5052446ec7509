import { type Limits, checkRoom } from './limits';
import type { Permits } from './permits';

/** Acquires under way: how many there may be, and that there is room for the permits that they are granted. */
export class Waiters {
  private underWay = 0;

  constructor(
    private readonly limits: Limits,
    private readonly permits: Permits,
  ) {}

  /** @throws Problem 503 if there are as many as may be */
  async during<T>(work: () => Promise<T>): Promise<T> {
    checkRoom('waiters', this.underWay, this.limits.waiters);
    checkRoom('permits', this.underWay + this.permits.size, this.limits.permits);
    this.underWay++;
    try {
      return await work();
    } finally {
      this.underWay--;
    }
  }
}
