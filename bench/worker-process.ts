import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { reaper } from '../src/testing/reaper';
import type { Answer, Ops } from './worker';

/** What a worker answers. */
type Promised<F> = F extends (...args: never[]) => infer R ? Awaited<R> : never;

/** Another process, told what to measure by function calls over IPC: see `worker.ts`. */
export class WorkerProcess {
  private readonly child: ChildProcess;
  private readonly pending = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  private lastId = 0;

  private constructor() {
    this.child = fork(join(__dirname, 'worker.ts'), [], {
      execArgv: ['--import', 'tsx', '--expose-gc', ...profiling()],
      serialization: 'advanced',
    });
    const { pid } = this.child;
    if (pid !== undefined) reaper.watchChild(pid);
    this.child.on('message', ({ id, result, error }: Answer) => {
      const waiting = this.pending.get(id);
      this.pending.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(error));
    });
    this.child.once('exit', (code, signal) => {
      if (pid !== undefined) reaper.forgetChild(pid);
      const reason = new Error(`a worker ended with ${signal ?? code}`);
      for (const waiting of this.pending.values()) waiting.reject(reason);
      this.pending.clear();
    });
  }

  static async start(): Promise<WorkerProcess> {
    const worker = new WorkerProcess();
    await worker.call('cpuMs');
    return worker;
  }

  call<K extends keyof Ops>(op: K, ...args: Parameters<Ops[K]>): Promise<Promised<Ops[K]>> {
    const id = ++this.lastId;
    return new Promise<unknown>((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      this.child.send({ id, op, args });
    }) as Promise<Promised<Ops[K]>>;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.disconnect();
    await ended;
  }
}

/** With BENCH_PROFILE set to a directory, each worker leaves a CPU profile there. */
function profiling(): string[] {
  const directory = process.env.BENCH_PROFILE;
  return directory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${directory}`];
}
