import { CommanderError } from 'commander';
import { SemaphoreError } from '../errors';

/** Exit statuses of the command line, after the numbers of sysexits.h where it has one that fits. */
export const EXIT = {
  ok: 0,
  /** Nothing of that name, or no such permit; and whatever else has no number of its own. */
  failure: 1,
  /** Wrong arguments. */
  usage: 64,
  /** The bucket holds something unreadable where it matters. */
  data: 65,
  /** No server to be reached, or it stopped answering. */
  unavailable: 69,
  /** `run`: the permit was lost and the command ended for it. */
  permitLost: 70,
  /** Not acquired in time. */
  tempFail: 75,
  /** The server refuses the user what is needed. */
  noPermission: 77,
  /** Server, bucket or semaphore are set up otherwise than asked for. */
  config: 78,
  /** `run`: the command was found and could not be executed; not found at all. As shells have it. */
  notExecutable: 126,
  notFound: 127,
  /** `run`: plus the number of the signal that ended it. */
  signal: 128,
} as const;

const OF_CODE: Readonly<Record<string, number>> = {
  ACQUIRE_TIMEOUT: EXIT.tempFail,
  BACKEND_UNAVAILABLE: EXIT.unavailable,
  BUCKET_CONFIG: EXIT.config,
  CORRUPT_ENTRY: EXIT.data,
  IN_USE: EXIT.tempFail,
  LIMIT_CONFLICT: EXIT.config,
  PERMISSION_DENIED: EXIT.noPermission,
  PERMIT_LOST: EXIT.permitLost,
  STORE_FULL: EXIT.unavailable,
  UNSUPPORTED_SERVER: EXIT.config,
};

/** What the arguments are wrong about, for the person who wrote them. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code = 'USAGE';
}

/** An end with a status of its own, already explained by its message. */
export class ExitError extends Error {
  override readonly name = 'ExitError';

  constructor(
    readonly status: number,
    message: string,
    readonly code: string,
  ) {
    super(message);
  }
}

/** The status that an error ends the program with. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof ExitError) return error.status;
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  // The library says of a bad argument which one, and what is allowed: most of ours are handed to it as they are.
  if (error instanceof UsageError || error instanceof RangeError || error instanceof TypeError)
    return EXIT.usage;
  if (error instanceof SemaphoreError) return OF_CODE[error.code] ?? EXIT.failure;
  return EXIT.failure;
}
