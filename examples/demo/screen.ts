import type { WriteStream } from 'node:tty';
import { type Line, paint } from './paint';

/** Draws lines in place: each drawing replaces the one before. */
export class Screen {
  private drawn = 0;

  constructor(
    private readonly out: WriteStream,
    private readonly colours: boolean,
  ) {
    // Lines that wrap could not be drawn over; the cursor would dance.
    out.write('\x1b[?25l\x1b[?7l');
    process.once('exit', this.restore);
  }

  draw(lines: readonly Line[]): void {
    const up = this.drawn > 0 ? `\x1b[${this.drawn}A` : '';
    const text = lines.map((line) => `\x1b[2K${paint(line, this.out.columns, this.colours)}\n`).join('');
    this.out.write(`\r${up}${text}\x1b[J`);
    this.drawn = lines.length;
  }

  /** Leaves the last drawing where it is, and the terminal as it was. */
  close(): void {
    process.off('exit', this.restore);
    this.restore();
  }

  private readonly restore = (): void => {
    this.out.write('\x1b[?7h\x1b[?25h');
  };
}
