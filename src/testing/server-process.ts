import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { httpJson } from './http-json';
import { reaper } from './reaper';

const POLL = 20;
const STOP_TIMEOUT = 10_000;
const FREEZE_WAIT_MS = 1_000;
const LOG_LINES = 25;

/** What one nats-server is started with. */
export interface Launch {
  readonly binary: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly name: string;
  readonly monitorPort: number;
  readonly logFile: string;
}

/** Another process has one of the ports. */
export class PortTakenError extends Error {
  override readonly name = 'PortTakenError';
}

/** One run of a nats-server, from spawn to exit. */
export class ServerProcess {
  private readonly child: ChildProcess;
  private readonly exit: Promise<void>;
  private readonly logStart: number;
  private spawnError: Error | undefined;
  private over = false;

  constructor(private readonly launch: Launch) {
    const log = openSync(launch.logFile, 'a');
    this.logStart = fstatSync(log).size;
    // The log goes to a file and not through a pipe: a server must not block on, or die of, a reader that is gone.
    this.child = spawn(launch.binary, launch.args, { env: launch.env, stdio: ['ignore', log, log] });
    closeSync(log);
    // A forgotten server must not keep a finished program alive; when that ends, the server is killed.
    this.child.unref();
    const { pid } = this.child;
    if (pid !== undefined) reaper.watchChild(pid);
    this.exit = new Promise((resolve) => {
      const done = (): void => {
        this.over = true;
        if (pid !== undefined) reaper.forgetChild(pid);
        resolve();
      };
      this.child.once('exit', done);
      this.child.once('error', (error) => {
        if (pid !== undefined) return;
        this.spawnError = error;
        done();
      });
    });
  }

  get pid(): number | undefined {
    return this.over ? undefined : this.child.pid;
  }

  /** Waits for the server to be healthy. If it does not come to that, it is killed and the error has its log's end. */
  async ready(deadline: number): Promise<void> {
    let last = 'nothing yet';
    while (!this.over && Date.now() < deadline) {
      last = await this.health();
      if (last === 'ok') return;
      await sleep(POLL);
    }
    const exited = this.over;
    await this.kill();
    if (exited && /address already in use/.test(this.log()))
      throw new PortTakenError(this.report('found a port taken'));
    if (this.spawnError) throw new Error(this.report('could not be started'), { cause: this.spawnError });
    throw new Error(
      this.report(exited ? 'exited before it was ready' : `was not ready in time (health: ${last})`),
    );
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.over) this.child.kill(signal);
  }

  /** Stops it (SIGSTOP), and returns once it stands still: the signal alone takes effect some time later. */
  freeze(): void {
    this.signal('SIGSTOP');
    const nap = new Int32Array(new SharedArrayBuffer(4));
    for (let waited = 0; waited < FREEZE_WAIT_MS && this.isRunning(); waited++) Atomics.wait(nap, 0, 0, 1);
  }

  /** Whether the process is not stopped, as far as the system tells (only Linux does). */
  private isRunning(): boolean {
    try {
      const stat = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8');
      return stat.charAt(stat.lastIndexOf(')') + 2) !== 'T';
    } catch {
      return false;
    }
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited(STOP_TIMEOUT);
  }

  async terminate(): Promise<void> {
    this.signal('SIGTERM');
    // A paused process acts on nothing but SIGKILL before it goes on.
    this.signal('SIGCONT');
    if (await this.exited(STOP_TIMEOUT, false)) return;
    await this.kill();
  }

  /** What the server wrote in this run. */
  log(): string {
    try {
      return readFileSync(this.launch.logFile).subarray(this.logStart).toString();
    } catch {
      return '';
    }
  }

  report(what: string): string {
    const tail = this.log().trimEnd().split('\n').slice(-LOG_LINES).join('\n');
    return `nats-server ${this.launch.name} ${what}. The end of its log:\n${tail || '(empty)'}`;
  }

  // "ok", or why not.
  private async health(): Promise<string> {
    try {
      const { monitorPort, name } = this.launch;
      const health = await httpJson<{ status: string; error?: string }>(monitorPort, 'healthz', 1_000);
      if (health.status !== 'ok') return health.error ?? health.status;
      // Somebody else's server may have the port, while ours is about to find that out.
      const varz = await httpJson<{ server_name: string }>(monitorPort, 'varz', 1_000);
      return varz.server_name === name ? 'ok' : `port ${monitorPort} is answered by ${varz.server_name}`;
    } catch (error) {
      return String(error);
    }
  }

  private async exited(timeout: number, must = true): Promise<boolean> {
    if (this.over) return true;
    const abort = new AbortController();
    const limit = sleep(timeout, false, { signal: abort.signal }).catch(() => false);
    const ended = await Promise.race([this.exit.then(() => true), limit]);
    abort.abort();
    if (!ended && must) throw new Error(this.report(`did not die within ${timeout} ms of SIGKILL`));
    return ended;
  }
}
