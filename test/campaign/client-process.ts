import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { reaper } from '../../src/testing/reaper';
import type { Order } from './client';

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** The handle of a {@link file://./client.ts} process, or of the {@link file://./hostile/hostile.ts} one. */
export class ClientProcess {
  readonly exited: Promise<Exit>;
  stderr = '';
  /** Its end is somebody's doing. */
  expected = false;
  over = false;
  private readonly child: ChildProcess;

  constructor(
    readonly client: string,
    readonly run: number,
    script: 'client.ts' | 'hostile/hostile.ts',
    setup: object,
  ) {
    const path = join(__dirname, script);
    this.child = spawn(process.execPath, ['--import', 'tsx', path, JSON.stringify(setup)], {
      cwd: join(__dirname, '..', '..'),
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    const { child } = this;
    const { pid } = child;
    if (pid !== undefined) reaper.watchChild(pid);
    child.stdin?.on('error', () => undefined);
    child.stderr?.on('data', (data: Buffer) => (this.stderr += data.toString()));
    this.exited = once(child, 'close').then(([code, signal]) => {
      this.over = true;
      if (pid !== undefined) reaper.forgetChild(pid);
      return { code: code as number | null, signal: signal as string | null };
    });
  }

  finish(): void {
    this.order('finish');
  }

  rest(resting: boolean): void {
    this.order(resting ? 'rest' : 'go on');
  }

  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    if (!this.over) this.child.kill(signal);
  }

  private order(order: Order): void {
    this.child.stdin?.write(`${order}\n`);
  }

  /** Waits for its end at most `ms`; resolves with whether it came. */
  async endsWithin(ms: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), ms)));
    const ended = await Promise.race([this.exited.then(() => true), late]);
    clearTimeout(timer);
    return ended;
  }
}
