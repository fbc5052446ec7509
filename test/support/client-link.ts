import { subjectOf } from './frames';
import { Proxy } from './proxy';

/** Answers to writes, as the server words them. */
const WRITE_ANSWER = /\r\n\{"(?:stream|error)":/;

/** All ways of one client to the servers, which fail together. */
export class ClientLink {
  private constructor(
    private readonly proxies: readonly Proxy[],
    private readonly bucket: string,
  ) {}

  static async open(ports: readonly number[], bucket: string): Promise<ClientLink> {
    return new ClientLink(await Promise.all(ports.map((port) => Proxy.start(port))), bucket);
  }

  get urls(): string[] {
    return this.proxies.map(({ url }) => url);
  }

  /** No connection, old or new. */
  cut(): void {
    for (const proxy of this.proxies) proxy.refuse(true);
  }

  /** Nothing goes through, and nobody is told. */
  halfOpen(): void {
    for (const proxy of this.proxies) proxy.stall();
  }

  /** Everything arrives, `ms` late. */
  slow(ms: number): void {
    for (const proxy of this.proxies) proxy.slow(ms);
  }

  /** Nothing arrives; all of it will, when this ends. */
  holdUp(): void {
    this.slow(Infinity);
  }

  /** Announcements of changes never arrive. */
  dropAnnouncements(): void {
    const prefix = `$SEMAPHORE.${this.bucket}.`;
    this.dropFrames((frame) => subjectOf(frame)?.startsWith(prefix) === true);
  }

  /** Writes go through, their answers are lost. */
  dropAnswers(): void {
    this.dropFrames(
      (frame) =>
        subjectOf(frame)?.startsWith('_INBOX.') === true && WRITE_ANSWER.test(frame.toString('latin1')),
    );
  }

  /** Ends whatever was wrong. Where bytes are missing the connection is broken, as it would be by TCP. */
  mend({ breaking = false } = {}): void {
    for (const proxy of this.proxies) {
      proxy.refuse(false);
      proxy.dropFrames(undefined);
      if (breaking) proxy.cut();
      proxy.hurry();
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.proxies.map((proxy) => proxy.stop()));
  }

  private dropFrames(drop: (frame: Buffer) => boolean): void {
    for (const proxy of this.proxies) proxy.dropFrames(drop);
  }
}
