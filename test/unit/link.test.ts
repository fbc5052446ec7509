import { describe, expect, it } from '@jest/globals';
import type { NatsConnection } from '../../src/store/nats/connection';
import { Link } from '../../src/store/nats/link';
import { FakeClock, settle } from '../support/fake-clock';

describe('a link that is let go of while it is down', () => {
  it('keeps nobody waiting, and no timer that would keep the process alive', async () => {
    const clock = new FakeClock();
    const link = new Link(lostConnection(), clock);
    await settle();
    const waiting = link.whenUp(600_000);
    expect([link.isUp, clock.pending]).toEqual([false, 1]);
    link.detach();
    await waiting;
    expect(clock.pending).toBe(0);
  });
});

/** A connection that was lost and never comes back. */
function lostConnection(): NatsConnection {
  const never = new Promise<never>(() => undefined);
  async function* events(): AsyncGenerator<{ type: string }> {
    yield { type: 'disconnect' };
    await never;
  }
  return { status: events, closed: () => never, isClosed: () => false } as unknown as NatsConnection;
}
