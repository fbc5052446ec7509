import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

interface Content {
  /** Fencing token of whoever wrote the text. */
  readonly token: string;
  readonly text: string;
}

/**
 * A file that refuses a writer whose fencing token is older than one it has seen. The token is stored with the text, in
 * one step: a resource that forgets it in a restart would let the late writer in after all.
 *
 * For a mutex, or a semaphore of one slot. With more slots remember the newest token of each slot: `permit.slots` says
 * which a writer has.
 */
export class FencedFile {
  constructor(private readonly path: string) {}

  get text(): string {
    return this.read().text;
  }

  /** @returns whether it was written: not if a newer holder has been here */
  write(token: bigint, text: string): boolean {
    if (token < BigInt(this.read().token)) return false;
    const content: Content = { token: String(token), text };
    // Between two processes that write the file this check would need a lock or a transaction; here one process does.
    writeFileSync(`${this.path}.new`, JSON.stringify(content), { flush: true });
    renameSync(`${this.path}.new`, this.path);
    return true;
  }

  private read(): Content {
    if (!existsSync(this.path)) return { token: '0', text: '' };
    return JSON.parse(readFileSync(this.path, 'utf8')) as Content;
  }
}
