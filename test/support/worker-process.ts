import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach } from '@jest/globals';
import { reaper } from '../../src/testing/reaper';
import { monotonicMs } from './monotonic';
import type { Step } from './occupancy';
import type { Ops, WorkerEvent, WorkerSetup } from './worker';

const START_MS = 60_000;
const STOP_MS = 5_000;
const EVENT_MS = 20_000;

const running = new Set<WorkerProcess>();
const faults: string[] = [];

// No worker outlives its test, however that ended, and one that broke down has failed it.
afterEach(async () => {
  await Promise.all([...running].map((worker) => worker.stop()));
  const found = faults.splice(0);
  if (found.length > 0) throw new Error(`a worker failed:\n${found.join('\n')}`);
});

/** An error of the worker's, with the code it had there and when it came. */
export class WorkerError extends Error {
  constructor(
    override readonly name: string,
    message: string,
    readonly code: string,
    readonly at: number,
  ) {
    super(message);
  }
}

interface Answer {
  id: number;
  result?: unknown;
  error?: { name: string; message: string; code: string; stack?: string; at: number };
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The handle of a {@link file://./worker.ts} process. */
export class WorkerProcess implements AsyncDisposable {
  /** Everything it said unasked, in order. */
  readonly events: WorkerEvent[] = [];
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  private readonly pending = new Map<number, Pending>();
  private readonly listeners = new Set<(event: WorkerEvent) => void>();
  private readonly child: ChildProcess;
  private lastId = 0;
  private stderr = '';
  private over = false;
  private expected = false;
  private stopped = false;

  private constructor(setup: WorkerSetup) {
    const script = join(__dirname, 'worker.ts');
    this.child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify(setup)], {
      cwd: join(__dirname, '..', '..'),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    running.add(this);
    const { child } = this;
    if (child.pid !== undefined) reaper.watchChild(child.pid);
    child.stdin?.on('error', () => undefined);
    child.stderr?.on('data', (data: Buffer) => (this.stderr += data.toString()));
    if (child.stdout) createInterface({ input: child.stdout }).on('line', (line) => this.hear(line));
    this.exited = once(child, 'close').then(([code, signal]) => this.ended(code as number, signal as string));
  }

  /** Starts a worker and waits until its dispatcher is made. */
  static async start(setup: WorkerSetup): Promise<WorkerProcess> {
    const worker = new WorkerProcess(setup);
    await worker.event((event) => event.type === 'ready', START_MS);
    return worker;
  }

  static startAll(count: number, setup: WorkerSetup): Promise<WorkerProcess[]> {
    return Promise.all(Array.from({ length: count }, () => WorkerProcess.start(setup)));
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Who was in which slot when. */
  get steps(): Step[] {
    return this.events.filter((event): event is Step => event.type === 'enter' || event.type === 'leave');
  }

  /** Has it do something. A failure comes as a {@link WorkerError}. */
  request<K extends keyof Ops>(op: K, ...[args]: Parameters<Ops[K]>): Promise<Awaited<ReturnType<Ops[K]>>> {
    const id = ++this.lastId;
    const answer = new Promise((resolve, reject) => {
      if (this.over) return reject(new Error('the worker is gone'));
      this.pending.set(id, { resolve, reject });
      this.child.stdin?.write(`${JSON.stringify({ id, op, args: args ?? {} })}\n`);
    });
    // A worker is killed in the middle of things: whoever waits for the answer is told, others need not care.
    answer.catch(() => undefined);
    return answer as Promise<Awaited<ReturnType<Ops[K]>>>;
  }

  /** The first event that matches, past or to come. */
  event<E extends WorkerEvent>(matches: (event: WorkerEvent) => boolean, ms = EVENT_MS): Promise<E> {
    const known = this.events.find(matches);
    if (known !== undefined) return Promise.resolve(known as E);
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer);
        this.listeners.delete(listener);
      };
      const listener = (event: WorkerEvent): void => {
        if (!matches(event)) return;
        done();
        resolve(event as E);
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error(`the worker did not say what was waited for within ${ms} ms. ${this.stderr}`));
      }, ms);
      void this.exited.then(() => {
        if (!this.listeners.has(listener)) return;
        done();
        reject(new Error(`the worker ended before it said what was waited for. ${this.stderr}`));
      });
      this.listeners.add(listener);
    });
  }

  /** The loss of a permit, past or to come. */
  lost(permit: string, ms = EVENT_MS): Promise<Extract<WorkerEvent, { type: 'lost' }>> {
    return this.event((event) => event.type === 'lost' && event.permit === permit, ms);
  }

  /** Sends it a signal. Returns when. */
  kill(signal: NodeJS.Signals): number {
    if (signal === 'SIGKILL') this.expected = true;
    const at = monotonicMs();
    if (!this.over) this.child.kill(signal);
    return at;
  }

  /** Ends it, by force if it does not go by itself soon. Safe to call twice. */
  async stop(): Promise<void> {
    if (!this.stopped) {
      this.stopped = true;
      this.child.stdin?.end();
      // One that stands still does not notice.
      if (!this.over) this.child.kill('SIGCONT');
    }
    const force = setTimeout(() => this.kill('SIGKILL'), STOP_MS);
    await this.exited;
    clearTimeout(force);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  private hear(line: string): void {
    let said: WorkerEvent | Answer;
    try {
      said = JSON.parse(line) as WorkerEvent | Answer;
    } catch {
      faults.push(`worker ${this.pid} wrote: ${line}`);
      return;
    }
    if ('id' in said) {
      const waiting = this.pending.get(said.id);
      this.pending.delete(said.id);
      if (said.error === undefined) return waiting?.resolve(said.result);
      const { name, message, code, at } = said.error;
      return waiting?.reject(new WorkerError(name, message, code, at));
    }
    if (said.type === 'fault') faults.push(`worker ${this.pid}: ${said.error}`);
    this.events.push(said);
    for (const listener of [...this.listeners]) listener(said);
  }

  private ended(code: number | null, signal: string | null): { code: number | null; signal: string | null } {
    this.over = true;
    running.delete(this);
    reaper.forgetChild(this.pid);
    if (!this.expected && code !== 0)
      faults.push(`worker ${this.pid} ended with ${signal ?? code}. ${this.stderr}`);
    for (const waiting of this.pending.values()) waiting.reject(new Error('the worker is gone'));
    this.pending.clear();
    return { code, signal };
  }
}
