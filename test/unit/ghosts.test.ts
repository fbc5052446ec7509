import { expect, it } from '@jest/globals';
import type { Entry } from '../../src/store/store';
import { withoutGhosts } from '../../src/store/nats/read';

const entry = (key: string, revision: number): Entry => ({ key, revision, value: '{}', writtenAt: 0 });

it('counts of a replica only what the leader has too, and what is newer than that it was asked', () => {
  const leader = { keys: new Set(['kept']), lastSequence: 10 };
  const read = [entry('kept', 5), entry('ran out on the leader', 6), entry('just written', 11)];
  expect(withoutGhosts(read, leader).map(({ key }) => key)).toEqual(['kept', 'just written']);
});
