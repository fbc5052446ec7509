import { systemClock } from '../../core/clock';
import type { HolderStatus, LatchStatus, SlotStatus, WaiterStatus } from '../../status';
import { formatDuration } from '../durations';
import type { AnyStatus } from '../primitives';
import { printable, table } from './table';

/** One primitive for people: a headline, who holds, who waits, what can not be read. */
export function statusText(status: AnyStatus): string {
  const parts = status.kind === 'latch' ? latchParts(status) : slotParts(status);
  const corrupt = status.corrupt.map(
    ({ key, reason }) => `UNREADABLE ${printable(key)}: ${printable(reason)}`,
  );
  return [...parts, ...corrupt].join('\n');
}

function slotParts({ available, holders, kind, name, slots, waiters }: SlotStatus): string[] {
  const headline = `${printable(name)}  ${kind}  ${available} of ${slots} free, ${waiters.length} waiting`;
  return [
    headline,
    ...section(['PERMIT', 'HOLDER', 'SLOTS', 'AGE', 'LEFT', 'TOKEN', 'METADATA'], holders.map(holderRow)),
    ...section(['WAITING', 'COUNT', 'AGE', 'LEFT', 'METADATA'], waiters.map(waiterRow)),
  ];
}

function latchParts({ count, counted, kind, name, total }: LatchStatus): string[] {
  return [
    `${printable(name)}  ${kind}  ${count} of ${total ?? '?'} left`,
    ...section(
      ['COUNTED BY', 'COUNT'],
      counted.map((share) => [share.holder, `${share.count}`]),
    ),
  ];
}

function section(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return rows.length === 0 ? [] : [table(head, rows)];
}

function holderRow({
  expiresAt,
  fencingToken,
  holder,
  metadata,
  permitId,
  since,
  slots,
}: HolderStatus): string[] {
  const times = [ageOf(since), leftOf(expiresAt)];
  return [permitId, holder, slots.join(','), ...times, `${fencingToken}`, metadataText(metadata)];
}

function waiterRow({ count, expiresAt, holder, metadata, since }: WaiterStatus): string[] {
  return [holder, `${count}`, ageOf(since), leftOf(expiresAt), metadataText(metadata)];
}

/** Clocks of other machines may be ahead of ours. */
const ageOf = (since: Date): string => formatDuration(Math.max(0, systemClock.wallTime() - since.getTime()));
const leftOf = (end: Date): string => formatDuration(Math.max(0, end.getTime() - systemClock.wallTime()));

function metadataText(metadata: Readonly<Record<string, string>>): string {
  return Object.entries(metadata)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');
}
