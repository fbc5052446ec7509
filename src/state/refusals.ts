import {
  AcquireTimeoutError,
  BackendUnavailableError,
  CorruptEntryError,
  DispatcherClosedError,
  LimitConflictError,
  PrimitiveInUseError,
  PrimitiveRemovedError,
} from '../errors';
import type { SlotTable } from './slot-table';

/** The errors with which an acquire is refused, all in one file so that their wording stays the same. */

export function tooMany(primitive: string, count: number, limit: number): RangeError {
  return new RangeError(
    `count must be a whole number from 1 to ${limit} (the number of slots of "${primitive}"), got ${count}`,
  );
}

export function nothingFree(primitive: string, table?: SlotTable): AcquireTimeoutError {
  const cause = table && firstCorruption(primitive, table);
  return new AcquireTimeoutError(`no permit of "${primitive}" is free`, { primitive, cause });
}

/** @param refusal why no claim could be stored */
export function outOfTime(
  primitive: string,
  ms: number,
  table?: SlotTable,
  refusal?: Error,
): AcquireTimeoutError {
  const reason = refusal === undefined ? '' : `: ${refusal.message}`;
  const cause = refusal ?? (table && firstCorruption(primitive, table));
  return new AcquireTimeoutError(`no permit of "${primitive}" became free within ${ms} ms${reason}`, {
    primitive,
    cause,
  });
}

export function unavailable(
  primitive: string,
  ms: number,
  trouble: Error | undefined,
  kind: 'permit' | 'latch' = 'permit',
): BackendUnavailableError {
  const reason = trouble?.message ?? 'the server did not answer';
  const what = kind === 'latch' ? `nothing known of the latch "${primitive}"` : `no permit of "${primitive}"`;
  const message = `${what} within ${ms} ms: ${reason}`;
  return new BackendUnavailableError(message, { primitive, cause: trouble });
}

export function corrupt(primitive: string, key: string, reason: string): CorruptEntryError {
  return new CorruptEntryError(`the entry ${key} of "${primitive}" can not be read: ${reason}`, {
    primitive,
  });
}

export function inUse(primitive: string, held: number, waiting: number): PrimitiveInUseError {
  return new PrimitiveInUseError(
    `"${primitive}" was not removed: ${held} permits are held and ${waiting} waiters queue. ` +
      'Release them first, or remove it with force: true, which takes the permits away.',
    { primitive },
  );
}

export function latchInUse(primitive: string, left: number): PrimitiveInUseError {
  return new PrimitiveInUseError(
    `the latch "${primitive}" was not removed: ${left} are left to count. Count them down first, or remove it with force: true.`,
    { primitive },
  );
}

export function stillInUse(primitive: string): PrimitiveInUseError {
  return new PrimitiveInUseError(`"${primitive}" is used again as fast as it is removed`, { primitive });
}

export function removed(primitive: string, by: string): PrimitiveRemovedError {
  return new PrimitiveRemovedError(`"${primitive}" was removed by ${by}`, { primitive });
}

export function dispatcherClosed(primitive: string): DispatcherClosedError {
  return new DispatcherClosedError('the dispatcher is closed', { primitive });
}

export function limitConflict(
  primitive: string,
  inCode: number,
  stored: number,
  kind: 'semaphore' | 'latch' = 'semaphore',
): LimitConflictError {
  if (kind === 'latch') {
    const message = `the latch "${primitive}" counts down from ${stored}, the code says ${inCode}`;
    return new LimitConflictError(
      `${message}. Use the same number everywhere, or none but with trySetCount.`,
      {
        primitive,
      },
    );
  }
  return new LimitConflictError(
    `"${primitive}" has ${stored} slots, the code asks for ${inCode}. Use the same number everywhere, ` +
      'or say with limitPolicy which one counts: "adopt" for the stored one, "set" for the one in the code.',
    { primitive },
  );
}

/** The first entry that can not be decoded: it may be the reason that no slot becomes free. */
function firstCorruption(primitive: string, table: SlotTable): CorruptEntryError | undefined {
  const [first] = table.corrupt;
  return first === undefined ? undefined : corrupt(primitive, ...first);
}
