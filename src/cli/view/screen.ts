import { sleep, systemClock } from '../../runtime/clock';
import { abortWith } from '../../runtime/on-abort';

const REDRAW_MS = 100;
const AGES_MS = 1_000;
const MIN_ROWS = 3;

/**
 * Shows what `frame` gives, in place on a terminal and one after the other elsewhere. On a terminal also without a change, as ages
 * do change. Resolves when the signal aborts; the last frame stays.
 */
export class Screen {
  private wake: AbortController | undefined;
  private dirty = true;

  constructor(private readonly frame: () => string) {}

  /** There is something new to show. */
  redraw(): void {
    this.dirty = true;
    this.wake?.abort();
  }

  async show(signal: AbortSignal): Promise<void> {
    const inPlace = process.stdout.isTTY === true;
    // An ES module: not to be had before it is imported this way.
    const { default: logUpdate } = await import('log-update');
    while (!signal.aborted) {
      if (this.dirty || inPlace) {
        this.dirty = false;
        if (inPlace) logUpdate(cut(this.frame(), process.stdout.rows));
        else process.stdout.write(`${this.frame()}\n\n`);
      }
      await sleep(systemClock, REDRAW_MS, signal, { keepAlive: true });
      if (this.dirty) continue;
      this.wake = new AbortController();
      const unlink = abortWith(this.wake, signal);
      await sleep(systemClock, AGES_MS, this.wake.signal, { keepAlive: true });
      unlink();
    }
    if (inPlace) logUpdate.done();
  }
}

/** What does not fit can not be taken back from a terminal. */
function cut(frame: string, rows: number): string {
  const lines = frame.split('\n');
  // A terminal that does not say how high it is says 0.
  if (rows < MIN_ROWS || lines.length < rows) return frame;
  return [...lines.slice(0, rows - 2), `... and ${lines.length - rows + 2} lines more`].join('\n');
}
