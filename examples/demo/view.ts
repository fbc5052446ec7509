import { Board } from './board';
import { type DemoEvent, clock } from './events';
import { frame } from './frame';
import { describe } from './lines';
import { Screen } from './screen';
import { WORKERS } from './settings';

const REDRAW_MS = 80;
/** Lines of a frame besides one a worker, and one to spare for the prompt. */
const OTHER_LINES = 9;

/** How the demo shows itself. */
export interface View {
  started(server: string): void;
  /** The workers begin. */
  begun(at: number): void;
  /** Before `table` has taken the event in. */
  event(event: DemoEvent): void;
  close(): void;
}

/** Drawn in place on a terminal that can do it, else a line for every event. */
export function openView(board: Board): View {
  const { columns = 0, isTTY, rows = 0 } = process.stdout;
  const roomy = columns >= 60 && rows >= WORKERS + OTHER_LINES;
  return isTTY && roomy && process.env.TERM !== 'dumb' ? new LiveView(board) : new PlainView(board);
}

class LiveView implements View {
  // https://no-color.org: set and not empty.
  private readonly screen = new Screen(process.stdout, !process.env.NO_COLOR);
  private readonly timer = setInterval(() => this.draw(), REDRAW_MS);
  private server = 'starting a server';
  private start: number | undefined;

  constructor(private readonly board: Board) {
    this.draw();
  }

  started(server: string): void {
    this.server = server;
  }

  begun(at: number): void {
    this.start = at;
  }

  event(): void {
    // The next drawing shows it.
  }

  close(): void {
    clearInterval(this.timer);
    this.draw();
    this.screen.close();
  }

  private draw(): void {
    this.screen.draw(frame(this.board, clock(), this.start, this.server, process.stdout.columns));
  }
}

class PlainView implements View {
  private readonly opened = clock();

  constructor(private readonly board: Board) {}

  started(server: string): void {
    this.say(clock(), server);
    this.say(clock(), `starting ${WORKERS} worker processes`);
  }

  begun(at: number): void {
    this.say(at, 'all are ready and begin');
  }

  event(event: DemoEvent): void {
    const text = describe(event, this.board);
    if (text !== undefined) this.say(event.at, text);
  }

  close(): void {}

  private say(at: number, text: string): void {
    const elapsed = ((at - this.opened) / 1_000).toFixed(2);
    process.stdout.write(`${elapsed.padStart(6)} s  ${text}\n`);
  }
}
