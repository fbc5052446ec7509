import { type Clock, sleep } from '../runtime/clock';
import type { PrimitiveStatus } from '../api/overview';
import type { Watchable } from '../api/slot-lock';
import { toProblem } from './problem';
import { type EventStream, type Frame, frameOf } from './sse';
import { toWire } from './wire';

/** Changes are gathered for this long, in ms. */
const GATHER_MS = 100;

/** The event streams of single primitives: one watch of a primitive and one serialised event for all its streams. */
export class StatusFeeds {
  private readonly feeds = new Map<string, StatusFeed>();

  constructor(private readonly clock: Clock) {}

  /** @param path of the primitive, without a query */
  add(path: string, stream: EventStream, watched: Watchable<PrimitiveStatus>): void {
    const feed = this.feeds.get(path);
    if (feed === undefined) {
      const begun = new StatusFeed(this.clock, () => {
        if (this.feeds.get(path) === begun) this.feeds.delete(path);
      });
      this.feeds.set(path, begun);
      begun.add(stream);
      void begun.run(watched, path);
    } else {
      feed.add(stream);
    }
  }
}

class StatusFeed {
  private readonly streams = new Set<EventStream>();
  private readonly left = new AbortController();
  private latest: Frame | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly over: () => void,
  ) {}

  add(stream: EventStream): void {
    this.streams.add(stream);
    stream.onClose(() => {
      this.streams.delete(stream);
      if (this.streams.size > 0) return;
      this.over();
      this.left.abort();
    });
    if (this.latest !== undefined) stream.sendFrame(this.latest);
  }

  async run(watched: Watchable<PrimitiveStatus>, path: string): Promise<void> {
    try {
      for await (const now of watched.watch({ signal: this.left.signal })) {
        this.tell(frameOf('status', toWire(now)));
        await sleep(this.clock, GATHER_MS, this.left.signal);
      }
    } catch (error) {
      this.tell(frameOf('problem', toProblem(error).body(path)));
    }
    this.over();
    for (const stream of this.streams) stream.end();
  }

  private tell(frame: Frame): void {
    this.latest = frame;
    for (const stream of this.streams) stream.sendLatest(frame);
  }
}
