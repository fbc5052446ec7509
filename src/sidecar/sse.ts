import type { FastifyReply } from 'fastify';
import { type Clock } from '../core/clock';

/** So that both sides, and proxies between them, notice when the other is gone. */
const HEARTBEAT_MS = 10_000;
/** How much may wait for a slow reader, in bytes. */
const MOST_WAITING = 1_000_000;

/** All streams of a sidecar, so that they can be ended together. */
export class Streams {
  private readonly open = new Set<EventStream>();

  constructor(private readonly clock: Clock) {}

  begin(reply: FastifyReply): EventStream {
    const stream = new EventStream(this.clock, reply);
    this.open.add(stream);
    stream.onClose(() => this.open.delete(stream));
    return stream;
  }

  endAll(): void {
    for (const stream of this.open) stream.end();
  }
}

/** One stream of server-sent events. It ends when the caller hangs up or {@link EventStream.end} is called. */
export class EventStream {
  private cancelHeartbeat = (): void => undefined;
  private over = false;
  private readonly closed: (() => void)[] = [];

  constructor(
    private readonly clock: Clock,
    private readonly reply: FastifyReply,
  ) {
    reply.hijack();
    reply.raw.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    reply.raw.write(':\n\n');
    reply.raw.on('error', () => undefined);
    reply.raw.once('close', () => {
      this.over = true;
      this.cancelHeartbeat();
      for (const callback of this.closed) callback();
    });
    this.beat();
  }

  /** Calls back once when it has ended, whoever ended it. */
  onClose(callback: () => void): void {
    if (this.over) callback();
    else this.closed.push(callback);
  }

  /** Whether the reader does not keep up: what is sent now would only pile up. */
  get congested(): boolean {
    return this.reply.raw.writableLength > MOST_WAITING;
  }

  send(event: string, data: unknown): void {
    this.sendText(event, JSON.stringify(data));
  }

  /** As {@link EventStream.send}, of what was serialized once for many streams. */
  sendText(event: string, json: string): void {
    if (!this.over) this.reply.raw.write(`event: ${event}\ndata: ${json}\n\n`);
  }

  end(): void {
    if (!this.over) this.reply.raw.end();
  }

  private beat(): void {
    this.cancelHeartbeat = this.clock.after(HEARTBEAT_MS, () => {
      if (this.over) return;
      this.reply.raw.write(':\n\n');
      this.beat();
    });
  }
}
