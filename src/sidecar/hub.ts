import { type Clock, sleep } from '../runtime/clock';
import type { Overview } from '../api/overview';
import { History } from './history';
import type { Backend } from './options';
import type { Reach } from './reach';
import type { AnyStatus } from './schemas';
import { type EventStream, frameOf } from './sse';
import { keyOf } from './timeline';
import { type BackendEvent, type ChangeEvent, type SnapshotEvent, toWire } from './wire';

/** Changes are gathered for this long, so that a page of hundreds of busy semaphores draws ten times a second, not thousands. */
const GATHER_MS = 100;
/** How often to look whether the server is there, while somebody watches. */
const LOOK_MS = 1_000;
const RETRY_MS = 2_000;

/**
 * The event streams of everything: one overview of the bucket for all of them. Each begins with a snapshot;
 * after that come changes, each serialised once. A reader that does not keep up is given a new snapshot once it does.
 */
export class Hub {
  private overview: Overview | undefined;
  private readonly streams = new Set<EventStream>();
  /** Streams that have not been given a snapshot, or have missed changes since. */
  private readonly behind = new Set<EventStream>();
  private readonly statuses = new Map<string, AnyStatus>();
  private readonly history: History;
  private backend: BackendEvent = { reachable: true };
  private failure: string | undefined;
  private cancelGather: (() => void) | undefined;
  private looking = false;
  private closed = false;

  constructor(
    private readonly dispatcher: Backend,
    private readonly clock: Clock,
    /** Whether to look also while nobody watches, so that who comes sees the last minutes. */
    private readonly always: boolean,
    private readonly reach: Reach,
  ) {
    this.history = new History(clock, (key) => this.statuses.get(key));
  }

  start(): void {
    if (this.always) this.begin();
  }

  get size(): number {
    return this.streams.size;
  }

  add(stream: EventStream): void {
    this.streams.add(stream);
    this.behind.add(stream);
    stream.onClose(() => this.remove(stream));
    this.begin();
    void this.look();
    if (!this.backend.reachable) stream.send('backend', this.backend);
    this.gather();
  }

  close(): void {
    this.closed = true;
    this.stop();
  }

  private begin(): void {
    this.overview ??= this.dispatcher.overview({
      changed: () => this.gather(),
      failed: (error) => {
        this.failure = error.message;
        this.report(error.message);
        this.beginAnew();
      },
    });
  }

  private gather(): void {
    this.cancelGather ??= this.clock.after(GATHER_MS, () => {
      this.cancelGather = undefined;
      this.tell();
    });
  }

  private tell(): void {
    if (this.overview?.live !== true) return;
    const change = this.takeChange(this.overview);
    if (change.changed.length + change.gone.length > 0) {
      const frame = frameOf('change', change);
      for (const stream of this.streams) {
        if (this.behind.has(stream)) continue;
        if (stream.congested) this.behind.add(stream);
        else stream.sendFrame(frame);
      }
    }
    this.catchUp();
  }

  private catchUp(): void {
    const ready = [...this.behind].filter((stream) => !stream.congested);
    if (ready.length === 0) return;
    const frame = frameOf('snapshot', this.snapshot());
    for (const stream of ready) {
      this.behind.delete(stream);
      stream.sendFrame(frame);
    }
  }

  private takeChange(overview: Overview): ChangeEvent {
    const now = this.clock.wallTime();
    const { changed, gone } = overview.take();
    const wired = changed.map(toWire);
    for (const status of wired) this.note(keyOf(status), status, now);
    for (const ref of gone) this.note(keyOf(ref), undefined, now);
    return { now, changed: wired, gone };
  }

  private note(key: string, status: AnyStatus | undefined, now: number): void {
    if (status === undefined) this.statuses.delete(key);
    else this.statuses.set(key, status);
    this.history.note(key, status, now);
  }

  private snapshot(): SnapshotEvent {
    const now = this.clock.wallTime();
    return { now, primitives: [...this.statuses.values()], history: this.history.all(now) };
  }

  /** Tells when the server goes out of reach and when it is back. One round of looking goes on while anybody watches. */
  private async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    while (this.streams.size > 0) {
      const reason = this.failure ?? (await this.reach.whyUnreachable());
      this.report(reason);
      if (this.behind.size > 0) this.gather();
      await sleep(this.clock, LOOK_MS);
    }
    this.looking = false;
  }

  private report(reason: string | undefined): void {
    const reachable = reason === undefined;
    if (reachable === this.backend.reachable) return;
    this.backend = { reachable, ...(reason !== undefined && { reason }) };
    const frame = frameOf('backend', this.backend);
    for (const stream of this.streams) stream.sendFrame(frame);
  }

  private remove(stream: EventStream): void {
    this.streams.delete(stream);
    this.behind.delete(stream);
    if (this.streams.size === 0 && !this.always) this.stop();
  }

  /** What can not be kept up to date is begun anew, in case an operator has mended it. */
  private beginAnew(): void {
    this.overview?.stop();
    this.overview = undefined;
    this.statuses.clear();
    for (const stream of this.streams) this.behind.add(stream);
    this.clock.after(RETRY_MS, () => {
      this.failure = undefined;
      if (!this.closed && (this.always || this.streams.size > 0)) this.begin();
    });
  }

  private stop(): void {
    this.cancelGather?.();
    this.cancelGather = undefined;
    this.overview?.stop();
    this.overview = undefined;
    this.statuses.clear();
    this.history.clear();
  }
}
