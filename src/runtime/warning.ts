/** Stable codes of the process warnings that this library emits; their name is `NatsSemaphoreWarning`. */
export type WarningCode =
  | 'NATS_SEMAPHORE_DEGRADED'
  | 'NATS_SEMAPHORE_LISTENER_FAILED'
  | 'NATS_SEMAPHORE_LOSS_UNNOTICED'
  | 'NATS_SEMAPHORE_MESSAGE_FAILED'
  | 'NATS_SEMAPHORE_RELEASE_FAILED'
  | 'NATS_SEMAPHORE_SIDECAR_FAILED';

const MAX_SUBJECTS = 1_000;
const warnedOf = new Set<string>();

export function warn(code: WarningCode, message: string): void {
  process.emitWarning(message, { type: 'NatsSemaphoreWarning', code });
}

/**
 * Warns once per process for each subject and code. After {@link MAX_SUBJECTS} there are no further warnings: names
 * that are made from data would fill the log and the memory.
 */
export function warnOnce(code: WarningCode, subject: string, message: string): void {
  const key = `${code} ${subject}`;
  if (warnedOf.size >= MAX_SUBJECTS || warnedOf.has(key)) return;
  warnedOf.add(key);
  const last = warnedOf.size === MAX_SUBJECTS ? '. Further warnings of this kind are not shown' : '';
  warn(code, `${message}${last}`);
}
