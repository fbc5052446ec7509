import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { FrameCutter } from '../../support/frames';

/** A message to send, with header bytes that no client library has to like. */
export interface RawMessage {
  readonly subject: string;
  /** From `NATS/1.0` to the empty line; undefined: none. */
  readonly headers?: Buffer | undefined;
  readonly body: Buffer;
  readonly reply?: string | undefined;
}

/** What comes in: a message of a subscription, or an error of the server. */
export interface RawListener {
  message(subject: string, headers: string, body: Buffer): void;
  refused(error: string): void;
}

const CONNECT_WITHIN_MS = 2_000;

/** A connection to a server, with nothing between the caller and the bytes. */
export class RawConnection {
  readonly closed: Promise<void>;
  private readonly frames = new FrameCutter();

  private constructor(
    private readonly socket: Socket,
    private readonly listener: RawListener,
  ) {
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('data', (data) => {
      for (const frame of this.frames.push(data)) this.hear(frame);
    });
  }

  static async open(
    url: string,
    login: { readonly user: string; readonly pass: string },
    subjects: readonly string[],
    listener: RawListener,
  ): Promise<RawConnection> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    // A failure shows as its end.
    socket.on('error', () => undefined);
    const patience = setTimeout(() => socket.destroy(), CONNECT_WITHIN_MS);
    const connection = new RawConnection(socket, listener);
    await Promise.race([once(socket, 'connect').catch(() => undefined), connection.closed]);
    clearTimeout(patience);
    const hello = { verbose: false, pedantic: false, headers: true, no_responders: true, ...login };
    const lines = [
      `CONNECT ${JSON.stringify(hello)}`,
      ...subjects.map((subject, i) => `SUB ${subject} ${i + 1}`),
    ];
    if (!socket.destroyed) socket.write(`${lines.join('\r\n')}\r\nPING\r\n`);
    return connection;
  }

  /** Bytes that the server has not taken yet. */
  get waiting(): number {
    return this.socket.writableLength;
  }

  send({ subject, headers, body, reply = '' }: RawMessage): void {
    if (this.socket.destroyed) return;
    const size = (headers?.length ?? 0) + body.length;
    const verb =
      headers === undefined
        ? `PUB ${subject} ${reply} ${size}`
        : `HPUB ${subject} ${reply} ${headers.length} ${size}`;
    this.socket.write(
      Buffer.concat([Buffer.from(`${verb}\r\n`), headers ?? Buffer.alloc(0), body, Buffer.from('\r\n')]),
    );
  }

  close(): void {
    this.socket.destroy();
  }

  private hear(frame: Buffer): void {
    const end = frame.indexOf('\r\n');
    const [verb = '', ...words] = frame.subarray(0, end).toString().trim().split(/\s+/);
    if (verb === 'PING') this.socket.write('PONG\r\n');
    if (verb === '-ERR') this.listener.refused(words.join(' '));
    if (verb !== 'MSG' && verb !== 'HMSG') return;
    const sizes = words.slice(verb === 'MSG' ? -1 : -2).map(Number);
    const head = verb === 'MSG' ? 0 : (sizes[0] ?? 0);
    const rest = frame.subarray(end + 2, -2);
    this.listener.message(words[0] ?? '', rest.subarray(0, head).toString(), rest.subarray(head));
  }
}
