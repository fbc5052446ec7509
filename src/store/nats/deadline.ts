import type { Aborting } from '../../runtime/cancellation';
import type { Clock } from '../../runtime/clock';
import { BackendUnavailableError } from '../../errors';

/** Until when an operation may go on: a given time, or, once it is abandoned, as long as its writes could still have an effect. */
export class Deadline {
  private abandonedAt: number | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly until: number = Infinity,
    /** Aborted when the outcome is no longer wanted. */
    readonly abandon?: Aborting,
    private readonly grace: number = 0,
  ) {}

  get at(): number {
    if (this.abandon?.aborted !== true) return this.until;
    this.abandonedAt ??= this.clock.now();
    return Math.min(this.until, this.abandonedAt + this.grace);
  }

  get passed(): boolean {
    const { at } = this;
    return at !== Infinity && this.clock.now() >= at;
  }

  /** `ms`, or less if the deadline comes sooner; at least 1. */
  clip(ms: number): number {
    const { at } = this;
    return at === Infinity ? ms : Math.max(1, Math.min(ms, at - this.clock.now()));
  }

  /** @throws BackendUnavailableError once the deadline has passed */
  check(trouble: unknown): void {
    if (!this.passed) return;
    const reason = trouble instanceof Error ? `: ${trouble.message}` : '';
    throw new BackendUnavailableError(`no answer from the server in the time allowed${reason}`, {
      cause: trouble,
    });
  }
}
