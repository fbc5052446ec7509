/** A piece of a line, in one style. */
export interface Span {
  readonly text: string;
  /** Parameters of the terminal's SGR sequence, such as `1;31`. */
  readonly style?: string;
}

export type Line = readonly (string | Span)[];

export const BOLD = '1';
export const DIM = '2';
export const ALARM = '97;41';

/** Backgrounds that differ on dark and on light terminals; red is kept for the kill. */
const BACKGROUNDS = ['42', '43', '44', '45', '46', '102', '104', '103', '105'];

/** The colours of a worker, wherever it shows. */
export function workerStyle(worker: number): string {
  return `30;${BACKGROUNDS[(worker - 1) % BACKGROUNDS.length]}`;
}

/** A line as it goes to the terminal: at most `width` wide. */
export function paint(line: Line, width: number, colours: boolean): string {
  let left = width;
  let out = '';
  for (const part of line) {
    const { text, style } = typeof part === 'string' ? { text: part, style: undefined } : part;
    const cut = text.slice(0, left);
    left -= cut.length;
    out += colours && style !== undefined && cut !== '' ? `\x1b[${style}m${cut}\x1b[0m` : cut;
  }
  return out;
}
