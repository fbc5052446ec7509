/** A queue so long that places which were left are taken out many at a time. */
import { expect, it } from '@jest/globals';
import { SlotTable } from '../../src/state/slot-table';
import { Keys } from '../../src/protocol/keys';
import { encodeRecord } from '../../src/protocol/records';

const TICKETS = 3_000;

it('shows the tickets that stand, in order, whichever leave, and one that comes again', () => {
  const keys = new Keys('sem', 'a');
  const board = new SlotTable(keys);
  let revision = TICKETS;
  const put = (i: number, token?: number): void => {
    const ticket = { holder: 'h', since: '2026-03-01T12:00:00.000Z', ttl: 10_000, count: 1, token };
    const value = token === undefined ? null : encodeRecord(ticket);
    board.apply({ key: keys.ticket(`t${i}`), revision: ++revision, value, writtenAt: 0 }, 0);
  };
  const expected = new Map<number, number>();
  for (let i = 0; i < TICKETS; i++) {
    const token = TICKETS - i;
    put(i, token);
    expected.set(i, token);
  }
  const shown = (): string[] => board.tickets.map(({ id }) => id);
  const right = (): string[] => [...expected].sort(([, a], [, b]) => a - b).map(([i]) => `t${i}`);
  for (let i = 0; i < TICKETS; i++) {
    const one = (i * 1_009) % TICKETS;
    put(one);
    expected.delete(one);
    if (i % 100 === 0) {
      put(one, 1);
      expected.set(one, 1);
      expect([...board.tickets].map(({ order }) => order)).toEqual(
        [...expected.values()].sort((a, b) => a - b),
      );
      put(one);
      expected.delete(one);
      expect(shown()).toEqual(right());
      expect(board.head(1)?.id).toBe(right()[0]);
      expect(board.queue).toHaveLength(expected.size);
    }
  }
  expect(shown()).toEqual([]);
  expect(board.head(1)).toBeUndefined();
});
