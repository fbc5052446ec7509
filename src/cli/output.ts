import { SemaphoreError } from '../errors';

/** Where results and complaints of a command go: for people, or with `--json` one JSON value a line. */
export class Output {
  constructor(readonly json: boolean) {}

  /** A result, to stdout. @param text the same for people */
  print(value: unknown, text: () => string): void {
    process.stdout.write(`${this.json ? toJson(value) : text()}\n`);
  }

  /** What happens beside the result, to stderr. People see it only if there is a `text`. */
  note(value: { readonly event: string; readonly [detail: string]: unknown }, text?: string): void {
    if (this.json) process.stderr.write(`${toJson(value)}\n`);
    else if (text !== undefined) process.stderr.write(`nats-semaphore: ${text}\n`);
  }

  /** Why it came to nothing, to stderr. */
  fail(error: unknown): void {
    const { code, message } = explained(error);
    this.note({ event: 'error', code, message }, message);
  }
}

/** Times as ISO 8601, fencing tokens as text: they may be more than a JSON number can hold. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? part.toString() : part));
}

function explained(error: unknown): { code: string; message: string } {
  if (!(error instanceof Error)) return { code: 'UNKNOWN', message: String(error) };
  if (error instanceof SemaphoreError) return error;
  if (error instanceof RangeError || error instanceof TypeError)
    return { code: 'USAGE', message: error.message };
  const { code } = error as { code?: unknown };
  return { code: typeof code === 'string' ? code : 'UNKNOWN', message: error.message };
}
