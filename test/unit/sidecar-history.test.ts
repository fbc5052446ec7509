import { expect, it } from '@jest/globals';
import { History } from '../../src/sidecar/history';
import type { AnyStatus } from '../../src/sidecar/schemas';
import { TIMELINE_MS } from '../../src/sidecar/timeline';
import { FakeClock } from '../support/fake-clock';

const held = (name: string): AnyStatus => ({
  kind: 'mutex',
  name,
  slots: 1,
  available: 0,
  corrupt: [],
  kept: [],
  waiters: [],
  holders: [
    {
      permitId: `p-${name}`,
      holder: 'h',
      since: new Date(0).toISOString(),
      expiresAt: new Date(0).toISOString(),
      fencingToken: '1',
      metadata: {},
      slots: [0],
    },
  ],
});

function world(most?: number): {
  clock: FakeClock;
  history: History;
  show: (name: string, on: boolean) => void;
} {
  const clock = new FakeClock();
  const statuses = new Map<string, AnyStatus>();
  const history = new History(clock, (key) => statuses.get(key), most);
  const show = (name: string, on: boolean): void => {
    if (on) statuses.set(name, held(name));
    else statuses.delete(name);
    history.note(name, statuses.get(name), clock.wallTime());
  };
  return { clock, history, show };
}

it('of names that are gone is dropped as time passes, and nothing is left to do then', async () => {
  const { clock, history, show } = world();
  for (let n = 0; n < 3_000; n++) {
    show(`name-${n}`, true);
    show(`name-${n}`, false);
  }
  await clock.advance(TIMELINE_MS / 2);
  show('later', true);
  show('later', false);
  expect(history.size).toBe(3_001);
  await clock.advance(TIMELINE_MS / 2);
  expect(Object.keys(history.all(clock.wallTime()))).toEqual(['later']);
  expect(history.size).toBe(1);
  await clock.advance(TIMELINE_MS / 2);
  expect({ size: history.size, timers: clock.pending }).toEqual({ size: 0, timers: 0 });
});

it('of a hold that goes on stays, without those before it', async () => {
  const { clock, history, show } = world();
  show('a', true);
  show('a', false);
  await clock.advance(1_000);
  show('a', true);
  expect(history.all(clock.wallTime()).a).toHaveLength(2);
  await clock.advance(2 * TIMELINE_MS);
  expect(history.all(clock.wallTime()).a).toMatchObject([{ to: null }]);
  expect(clock.pending).toBe(0);
  show('a', false);
  expect(history.all(clock.wallTime()).a).toHaveLength(1);
  await clock.advance(2 * TIMELINE_MS);
  expect(history.size).toBe(0);
});

it('is bounded: the names that have not changed for longest go first', () => {
  const { clock, history, show } = world(3);
  for (const name of ['a', 'b', 'c', 'a', 'd']) {
    show(name, true);
    show(name, false);
  }
  expect(Object.keys(history.all(clock.wallTime())).sort()).toEqual(['a', 'c', 'd']);
});
