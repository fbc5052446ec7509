import { systemClock } from '../../runtime/clock';
import type {
  HolderStatus,
  KeptStatus,
  ReadWriteHolderStatus,
  ReadWriteWaiterStatus,
  WaiterStatus,
} from '../../api/status';
import { formatDuration } from '../durations';
import type { AnyStatus } from '../primitives';
import { printable, table } from './table';

/** One primitive for people: a headline, who holds, who waits, what can not be read. */
export function statusText(status: AnyStatus): string {
  const corrupt = status.corrupt.map(
    ({ key, reason }) => `UNREADABLE ${printable(key)}: ${printable(reason)}`,
  );
  return [
    `${printable(status.name)}  ${status.kind}  ${summaryOf(status)}`,
    ...tablesOf(status),
    ...corrupt,
  ].join('\n');
}

function summaryOf(status: AnyStatus): string {
  switch (status.kind) {
    case 'latch':
      return `${status.count} of ${status.total ?? '?'} left`;
    case 'read-write-lock': {
      const writing = status.holders.filter(({ mode }) => mode === 'write').length;
      return `${status.holders.length - writing} reading, ${writing} writing, ${status.waiters.length} waiting`;
    }
    default:
      return `${status.available} of ${status.slots} free, ${status.waiters.length} waiting`;
  }
}

function tablesOf(status: AnyStatus): string[] {
  if (status.kind === 'latch') {
    const rows = status.counted.map(({ count, holder }) => [holder, `${count}`]);
    return section(['COUNTED BY', 'COUNT'], rows);
  }
  const byMode = status.kind === 'read-write-lock';
  return [
    ...section(
      ['PERMIT', 'HOLDER', byMode ? 'MODE' : 'SLOTS', 'AGE', 'LEFT', 'TOKEN', 'METADATA'],
      status.holders.map(holderRow),
    ),
    ...section(['KEPT BY', 'SLOT', 'AGE', 'LEFT'], 'kept' in status ? status.kept.map(keptRow) : []),
    ...section(
      ['WAITING', byMode ? 'MODE' : 'COUNT', 'AGE', 'LEFT', 'METADATA'],
      status.waiters.map(waiterRow),
    ),
  ];
}

function section(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return rows.length === 0 ? [] : [table(head, rows)];
}

function holderRow(status: HolderStatus | ReadWriteHolderStatus): string[] {
  const { expiresAt, fencingToken, holder, metadata, permitId, since } = status;
  const what = 'mode' in status ? status.mode : status.slots.join(',');
  return [permitId, holder, what, ageOf(since), leftOf(expiresAt), `${fencingToken}`, metadataText(metadata)];
}

function keptRow({ expiresAt, holder, since, slot }: KeptStatus): string[] {
  return [holder, `${slot}`, ageOf(since), leftOf(expiresAt)];
}

function waiterRow(status: WaiterStatus | ReadWriteWaiterStatus): string[] {
  const { expiresAt, holder, metadata, since } = status;
  const what = 'mode' in status ? status.mode : `${status.count}`;
  return [holder, what, ageOf(since), leftOf(expiresAt), metadataText(metadata)];
}

/** Clocks of other machines may be ahead of ours. */
const ageOf = (since: Date): string => formatDuration(Math.max(0, systemClock.wallTime() - since.getTime()));
const leftOf = (end: Date): string => formatDuration(Math.max(0, end.getTime() - systemClock.wallTime()));

function metadataText(metadata: Readonly<Record<string, string>>): string {
  return Object.entries(metadata)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');
}
