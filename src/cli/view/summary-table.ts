import type { PrimitiveSummary } from '../../api/status';
import { table } from './table';

const HEAD = ['NAME', 'KIND', 'SLOTS', 'HELD', 'WAITING'];

/** One line for each primitive. Of a latch HELD is what is left of the count under SLOTS. */
export function summaryTable(all: readonly PrimitiveSummary[]): string {
  if (all.length === 0) return 'Nothing there yet.';
  return table(
    HEAD,
    all.map(({ name, kind, slots, held, waiting }) => [
      name,
      kind,
      `${slots ?? '-'}`,
      `${held}`,
      `${waiting}`,
    ]),
  );
}
