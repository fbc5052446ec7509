import type { FastifyReply } from 'fastify';
import type { Clock } from '../runtime/clock';
import { type Limits, checkRoom } from './limits';
import { Problem } from './problem';

/** So that both sides, and proxies between them, notice when the other is gone. */
const HEARTBEAT_MS = 10_000;
/** How much may wait for one slow reader before it misses events, in bytes. */
const MAX_WAITING = 256 * 1024;
/** What is handed to the network at once, in bytes: progress of the reader shows at this grain. */
const PIECE = 64 * 1024;
/** How long a stream that was ended may take to send what is left, in ms. */
const LAST_WORDS_MS = 2_000;

/** One event, serialised once for all streams that it is sent on. */
export class Frame {
  /** How many streams have it in their queue. */
  queued = 0;

  constructor(readonly bytes: Buffer) {}
}

export function frameOf(event: string, data: unknown): Frame {
  return new Frame(Buffer.from(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
}

const HEARTBEAT = Buffer.from(':\n\n');

/** Counts the bytes that wait for readers; a frame in several queues is one. */
class Backlog {
  bytes = 0;

  add(frame: Frame): void {
    if (frame.queued++ === 0) this.bytes += frame.bytes.length;
  }

  remove(frame: Frame): void {
    if (--frame.queued === 0) this.bytes -= frame.bytes.length;
  }
}

/** All event streams of a sidecar: how many there may be, and how much may wait for their readers. */
export class Streams {
  private readonly open = new Set<EventStream>();
  private readonly perAddress = new Map<string, number>();
  private readonly backlog = new Backlog();

  constructor(
    private readonly clock: Clock,
    private readonly limits: Limits,
    /** Told of streams that were ended because of their readers. */
    private readonly dropped: () => void,
  ) {}

  get size(): number {
    return this.open.size;
  }

  /** @throws Problem: 503 or 429 if there are as many as may be */
  begin(reply: FastifyReply): EventStream {
    const { streams, streamsPerAddress, streamStall } = this.limits;
    const address = reply.request.ip;
    const ofAddress = this.perAddress.get(address) ?? 0;
    checkRoom('event streams', this.open.size, streams);
    if (ofAddress >= streamsPerAddress) {
      throw new Problem(
        429,
        'TOO_MANY_STREAMS',
        `${address} has ${ofAddress} event streams, the most that one address may have`,
        [],
        { 'retry-after': '5' },
      );
    }
    this.perAddress.set(address, ofAddress + 1);
    const stream = new EventStream(this.clock, reply, this.backlog, streamStall, {
      sent: () => this.makeRoom(),
      dropped: this.dropped,
      closed: () => {
        this.open.delete(stream);
        const left = (this.perAddress.get(address) ?? 1) - 1;
        if (left === 0) this.perAddress.delete(address);
        else this.perAddress.set(address, left);
      },
    });
    this.open.add(stream);
    return stream;
  }

  endAll(): void {
    for (const stream of this.open) stream.end();
  }

  /** Ends streams, those first for which most waits, until what waits is within its bound. */
  private makeRoom(): void {
    if (this.backlog.bytes <= this.limits.streamBytes) return;
    const slowest = [...this.open].sort((a, b) => b.waiting - a.waiting);
    for (const stream of slowest) {
      if (this.backlog.bytes <= this.limits.streamBytes) return;
      stream.drop('the event streams of this sidecar have too much to send');
    }
  }
}

interface StreamOwner {
  /** Something was added to what waits for the reader. */
  sent(): void;
  dropped(): void;
  closed(): void;
}

/**
 * One stream of server-sent events. It ends when the caller hangs up, when {@link EventStream.end} is called, or when its reader has
 * read nothing for some time.
 */
export class EventStream {
  private readonly queue: Frame[] = [];
  /** How much of the first frame is sent. */
  private offset = 0;
  private queuedBytes = 0;
  private writing = false;
  private progress = 0;
  private ending = false;
  private over = false;
  private cancelHeartbeat = (): void => undefined;
  private cancelStall: (() => void) | undefined;
  private cancelLastWords = (): void => undefined;
  private readonly closed: (() => void)[] = [];

  constructor(
    private readonly clock: Clock,
    private readonly reply: FastifyReply,
    private readonly backlog: Backlog,
    private readonly stallMs: number,
    private readonly owner: StreamOwner,
  ) {
    reply.hijack();
    const { raw } = reply;
    raw.on('error', () => undefined);
    raw.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    raw.write(HEARTBEAT);
    if (raw.destroyed) this.close();
    else raw.once('close', () => this.close());
    this.beat();
  }

  /** Calls back once when it has ended, whichever side has ended it. */
  onClose(callback: () => void): void {
    if (this.over) callback();
    else this.closed.push(callback);
  }

  /** Whether the reader does not keep up: what is sent now would only pile up. */
  get congested(): boolean {
    return this.queuedBytes > MAX_WAITING;
  }

  /** Bytes that wait for the reader. */
  get waiting(): number {
    return this.queuedBytes;
  }

  send(event: string, data: unknown): void {
    this.sendFrame(frameOf(event, data));
  }

  /** As {@link EventStream.send}, of what was serialised once for many streams. */
  sendFrame(frame: Frame): void {
    if (this.over || this.ending) return;
    this.enqueue(frame);
    this.owner.sent();
  }

  /** As {@link EventStream.sendFrame}, of an event that says everything: those before it that still wait are not sent any more. */
  sendLatest(frame: Frame): void {
    while (this.queue.length > 1) this.forget(this.queue.pop());
    this.sendFrame(frame);
  }

  /** Ends it when everything is sent, or after a short time. */
  end(): void {
    if (this.over || this.ending) return;
    this.ending = true;
    this.cancelLastWords = this.clock.after(LAST_WORDS_MS, () => this.reply.raw.destroy());
    this.pump();
  }

  /** Ends it because of its reader. What waits is thrown away; the reader is told why, if it still reads. */
  drop(reason: string): void {
    if (this.over || this.ending) return;
    const [frame] = this.queue;
    // Nothing can follow an event that is cut off: readers would take both for one. Without an end they ignore it.
    const cut = frame !== undefined && this.offset + PIECE < frame.bytes.length;
    this.clear();
    this.owner.dropped();
    const problem = new Problem(503, 'SLOW_READER', reason);
    if (!cut) this.enqueue(frameOf('problem', problem.body(this.reply.request.url)));
    this.end();
  }

  private enqueue(frame: Frame): void {
    this.queue.push(frame);
    this.queuedBytes += frame.bytes.length;
    this.backlog.add(frame);
    this.pump();
  }

  /** Hands the next piece to the network when the one before is out. */
  private pump(): void {
    if (this.over || this.writing) return;
    const [frame] = this.queue;
    if (frame === undefined) {
      if (this.ending) this.reply.raw.end();
      return;
    }
    const piece = frame.bytes.subarray(this.offset, this.offset + PIECE);
    this.writing = true;
    this.watchProgress();
    this.reply.raw.write(piece, () => {
      this.writing = false;
      this.progress++;
      this.sent(frame, piece.length);
      this.pump();
    });
  }

  private sent(frame: Frame, length: number): void {
    // It may have been thrown away meanwhile.
    if (this.queue[0] !== frame) return;
    this.offset += length;
    this.queuedBytes -= length;
    if (this.offset < frame.bytes.length) return;
    this.offset = 0;
    this.queue.shift();
    this.backlog.remove(frame);
  }

  /** One timer however many pieces: it looks whether anything went out since it was set. */
  private watchProgress(): void {
    const before = this.progress;
    this.cancelStall ??= this.clock.after(this.stallMs, () => {
      this.cancelStall = undefined;
      if (!this.writing) return;
      if (this.progress === before) this.drop(`nothing was read for ${this.stallMs} ms`);
      else this.watchProgress();
    });
  }

  private beat(): void {
    this.cancelHeartbeat = this.clock.after(HEARTBEAT_MS, () => {
      if (this.over || this.ending) return;
      // Where something waits already it is no news that this side is there.
      if (!this.writing) this.reply.raw.write(HEARTBEAT);
      this.beat();
    });
  }

  private clear(): void {
    for (const frame of this.queue.splice(0)) this.forget(frame);
    this.queuedBytes = 0;
    this.offset = 0;
  }

  /** Of a frame that has left the queue. */
  private forget(frame: Frame | undefined): void {
    if (frame === undefined) return;
    this.queuedBytes -= frame.bytes.length;
    this.backlog.remove(frame);
  }

  private close(): void {
    if (this.over) return;
    this.over = true;
    this.clear();
    this.cancelHeartbeat();
    this.cancelStall?.();
    this.cancelLastWords();
    this.owner.closed();
    for (const callback of this.closed) callback();
  }
}
