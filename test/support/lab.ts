import { Events } from '../../src/api/events';
import { Telemetry } from '../../src/api/telemetry/telemetry';
import type { Clock } from '../../src/runtime/clock';
import { BatchedTimers } from '../../src/runtime/batched-timers';
import { Background, type Context } from '../../src/store/context';
import { EngineRegistry } from '../../src/engine/engine-registry';
import { Keys } from '../../src/protocol/keys';
import { MemoryStore } from '../../src/store/memory';
import {
  MARKER_TTL_MS,
  type CommitOptions,
  type CommitResult,
  type Entry,
  type Listener,
  type Store,
  type Write,
  storedTtl,
} from '../../src/store/store';
import type { LimitPolicy } from '../../src/api/options';
import { type ReadWriteLock, createReadWriteLock } from '../../src/api/read-write-lock';
import { type Semaphore, createSemaphore } from '../../src/api/semaphore';
import { FakeClock, settle } from './fake-clock';

/** Changes what a client does to the store: how a protection is taken out. */
export type Sabotage = (store: Store) => Store;

/** One process that uses the semaphore, with a link of its own and a clock that can be stopped. */
export interface LabClient {
  readonly semaphore: Semaphore;
  /** A read-write lock of the same name. */
  readonly lock: ReadWriteLock;
  readonly wire: Wire;
  readonly clock: PausableClock;
  readonly context: Context;
  readonly engines: EngineRegistry;
  readonly telemetry: Telemetry;
}

/** Several clients of one store, in one process, on a clock that only moves when told to. */
export class Lab {
  readonly clock = new FakeClock();
  /** With removal markers as NATS has them. */
  readonly store = new MemoryStore(this.clock, undefined, storedTtl);
  private clients = 0;

  constructor(
    private readonly sabotage: Sabotage = (store) => store,
    private readonly safetyMargin?: number,
    /** For how long its clients keep slots after a release. */
    private readonly retain = 0,
  ) {}

  client(
    name: string,
    slots: number,
    ttl: number,
    fair = false,
    limitPolicy: LimitPolicy = 'adopt',
  ): LabClient {
    const clock = new PausableClock(this.clock);
    const wire = new Wire(this.store);
    const context: Context = {
      store: this.sabotage(wire),
      clock,
      holder: `client ${this.clients}`,
      safetyMargin: this.safetyMargin,
      counts: { safetyReads: 0, safetyFinds: 0 },
      background: new Background(),
      pulse: new BatchedTimers(clock),
    };
    const engines = new EngineRegistry(context);
    const keys = new Keys('sem', name);
    this.clients++;
    const telemetry = new Telemetry(clock, new Events());
    const settings = { name, slots, ttl, fair, limitPolicy, safetyMargin: undefined, telemetry };
    const semaphore = createSemaphore({
      ...settings,
      keys,
      kind: 'semaphore',
      retain: this.retain,
      engine: () => engines.get(keys, name),
    });
    const lockKeys = new Keys('rw', name);
    const lock = createReadWriteLock({
      ...settings,
      keys: lockKeys,
      kind: 'read-write-lock',
      retain: 0,
      engine: () => engines.get(lockKeys, name),
    });
    return { semaphore, lock, wire, clock, context, engines, telemetry };
  }

  /** Removes a key as the server's expiry does it: without looking what is there. */
  async wipe(key: string): Promise<void> {
    const [entry] = await this.store.read([key]);
    await this.store.commit([{ key, expected: entry?.revision ?? 0, value: null, ttl: MARKER_TTL_MS }]);
  }

  async close(): Promise<void> {
    await this.store.close();
    await settle();
  }
}

/** A link between a client and the store. */
export class Wire implements Store {
  private held: (() => void)[] | undefined;
  private answers: (() => void)[] | undefined;
  private deaf = false;
  private readonly listeners = new Set<Listener>();

  constructor(private readonly inner: MemoryStore) {}

  /** Nothing gets through, requests wait, announcements are lost. */
  cut(): void {
    this.held ??= [];
  }

  mend(): void {
    const waiting = this.held ?? [];
    this.held = undefined;
    for (const go of waiting) go();
    for (const listener of [...this.listeners]) listener.interrupted();
  }

  /** Announcements are lost, and nobody is told that they are. */
  loseAnnouncements(on: boolean): void {
    this.deaf = on;
  }

  /** Requests are carried out, their answers wait; announcements are lost. */
  delayAnswers(): void {
    this.answers ??= [];
  }

  deliverAnswers(): void {
    const waiting = this.answers ?? [];
    this.answers = undefined;
    for (const go of waiting) go();
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  async commit(writes: readonly Write[], options?: CommitOptions): Promise<CommitResult> {
    await this.passage();
    const result = await this.inner.commit(writes, options);
    await this.answer();
    return result;
  }

  async read(patterns: readonly string[]): Promise<readonly Entry[]> {
    await this.passage();
    const entries = await this.inner.read(patterns);
    await this.answer();
    return entries;
  }

  listen(patterns: readonly string[], listener: Listener): () => void {
    this.listeners.add(listener);
    const stop = this.inner.listen(patterns, {
      changed: (entry) => {
        if (this.held === undefined && this.answers === undefined && !this.deaf) listener.changed(entry);
      },
      interrupted: () => listener.interrupted(),
    });
    return () => {
      this.listeners.delete(listener);
      stop();
    };
  }

  markerTtl(ttl: number): number {
    return this.inner.markerTtl(ttl);
  }

  onReset(): () => void {
    return () => undefined;
  }

  trouble(): Error | undefined {
    return this.down();
  }

  down(): Error | undefined {
    return this.held === undefined ? undefined : new Error('the link is cut');
  }

  refusal(): undefined {
    return undefined;
  }

  isCongested(): boolean {
    return false;
  }

  isClosed(): boolean {
    return false;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private passage(): Promise<void> | undefined {
    if (this.held === undefined) return undefined;
    return new Promise((resolve) => this.held?.push(resolve));
  }

  private answer(): Promise<void> | undefined {
    if (this.answers === undefined) return undefined;
    return new Promise((resolve) => this.answers?.push(resolve));
  }
}

/** A process's clock: while the process is stopped no timer fires, but time goes on. */
export class PausableClock implements Clock {
  private backlog: (() => void)[] | undefined;

  constructor(private readonly inner: FakeClock) {}

  now(): number {
    return this.inner.now();
  }

  wallTime(): number {
    return this.inner.wallTime();
  }

  after(ms: number, callback: () => void): () => void {
    let live = true;
    const fire = (): void => {
      if (!live) return;
      if (this.backlog === undefined) callback();
      else this.backlog.push(fire);
    };
    const cancel = this.inner.after(ms, fire);
    return () => {
      live = false;
      cancel();
    };
  }

  pause(): void {
    this.backlog ??= [];
  }

  resume(): void {
    const due = this.backlog ?? [];
    this.backlog = undefined;
    for (const fire of due) fire();
  }
}
