import { Problem } from './problem';

/** Whether the sidecar is about to end: nothing new is granted then, while what is held may be renewed and released. */
export class Drain {
  private readonly begun = new AbortController();

  get signal(): AbortSignal {
    return this.begun.signal;
  }

  begin(): void {
    if (!this.begun.signal.aborted) this.begun.abort(draining());
  }

  /** @throws Problem if it has begun */
  check(): void {
    this.begun.signal.throwIfAborted();
  }
}

const draining = (): Problem =>
  new Problem(503, 'DRAINING', 'the sidecar is about to end and grants nothing any more', [], {
    'retry-after': '5',
  });
