import { afterEach, describe, expect, it } from '@jest/globals';
import { Lab } from '../support/lab';

const RETAIN_MS = 1_000;

const lab = new Lab(undefined, undefined, RETAIN_MS);

afterEach(async () => {
  await lab.close();
});

describe('waiters of one process that take a kept slot from one another', () => {
  it('go on for `retain` ms at most while the wish of another process is not heard', async () => {
    const [a, b] = [lab.client('s', 1, 30_000), lab.client('s', 1, 30_000)];
    let over = false;
    let served = 0;
    const work = async (): Promise<void> => {
      while (!over) {
        const permit = await a.semaphore.lock();
        await new Promise<void>((resolve) => lab.clock.after(5, resolve));
        await permit.release();
        served++;
      }
    };
    for (let i = 0; i < 3; i++) work().catch(() => undefined);
    await lab.clock.advance(RETAIN_MS / 2);
    a.wire.loseAnnouncements(true);
    const from = lab.clock.now();
    let waited = Infinity;
    void b.semaphore.lock().then(() => (waited = lab.clock.now() - from));
    await lab.clock.advance(2 * RETAIN_MS);
    over = true;
    expect(served).toBeGreaterThan(50);
    expect(waited).toBeLessThanOrEqual(RETAIN_MS + 50);
  });
});
