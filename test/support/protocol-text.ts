import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a block of `docs/protocol.md` shows: a message to send, an answer to it, or an announcement. */
export interface WireText {
  /** `PUB`, `REQ`, `ANSWER` or `ANNOUNCED`. */
  readonly verb: string;
  readonly subject: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export type Values = Readonly<Record<string, string | number>>;

/** The blocks and tables of `docs/protocol.md`, so that what the page says is what is tested. */
export class ProtocolText {
  private readonly text = readFileSync(join(__dirname, '..', '..', 'docs', 'protocol.md'), 'utf8');

  /** A JSON block, with its placeholders filled in. */
  json(id: string, values: Values = {}): Record<string, unknown> {
    return JSON.parse(fill(this.block('json', id), values)) as Record<string, unknown>;
  }

  /** A message block, with its placeholders filled in. */
  message(id: string, values: Values): WireText {
    return parseMessage(fill(this.block('text', id), values));
  }

  /** All message blocks of that id, in order, as they are. */
  messages(id: string): WireText[] {
    return this.blocks('text', id).map(parseMessage);
  }

  /** Rows of the tables whose first column has this heading, as plain text. */
  rows(heading: string, among: string = this.text): string[][] {
    const lines = among.split('\n');
    const starts = lines.flatMap((line, i) => (cellsOf(line)?.[0] === heading ? [i] : []));
    if (starts.length === 0) throw new Error(`docs/protocol.md has no table "${heading}"`);
    return starts.flatMap((start) => {
      const end = lines.findIndex((line, i) => i > start && cellsOf(line) === undefined);
      return lines.slice(start + 2, end).map((line) => cellsOf(line) as string[]);
    });
  }

  /** Rows of a table within the section of this title. */
  rowsOf(title: string, heading: string): string[][] {
    const [, section] = this.text.split(new RegExp(`^#+ ${title}.*$`, 'm'));
    if (section === undefined) throw new Error(`docs/protocol.md has no section "${title}"`);
    return this.rows(heading, section.split(/^#/m)[0]);
  }

  private block(language: string, id: string): string {
    const [only, ...more] = this.blocks(language, id);
    if (only === undefined || more.length > 0) throw new Error(`docs/protocol.md: not one block "${id}"`);
    return only;
  }

  private blocks(language: string, id: string): string[] {
    const pattern = new RegExp(`^\`\`\`${language} ${id}\\n([\\s\\S]*?)^\`\`\`$`, 'gm');
    return [...this.text.matchAll(pattern)].map((match) => match[1] as string);
  }
}

function fill(text: string, values: Values): string {
  return text.replace(/<([a-z-]+)>/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`docs/protocol.md has <${name}>, which is not known here`);
    return String(value);
  });
}

function parseMessage(text: string): WireText {
  const gap = text.indexOf('\n\n');
  const [first = '', ...lines] = text.slice(0, gap).split('\n');
  const [verb = '', subject = ''] = first.split(' ');
  const headers = new Map(lines.map((line) => line.split(': ') as [string, string]));
  return { verb, subject, headers, body: text.slice(gap + 2).trim() };
}

function cellsOf(line: string): string[] | undefined {
  if (!line.startsWith('|')) return undefined;
  return line
    .slice(1, -1)
    .split('|')
    .map((cell) => cell.trim().replace(/^`(.*)`$/, '$1'));
}
