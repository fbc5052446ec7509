import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { type DemoEvent, type WorkerEvent, clock } from './events';
import { WORKERS } from './settings';
import type { Stage } from './server';

interface Member {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
}

/** The worker processes: starts them, hears what they report, and sees to it that all of them end. */
export class Crew {
  /** Resolves when every worker is ready. */
  readonly ready: Promise<void>;
  /** Resolves when all have ended as they should, rejects as soon as one has not. */
  readonly finished: Promise<void>;
  private readonly members: Member[] = [];
  private readonly killed = new Set<number>();
  private atWork = false;
  private readyCount = 0;
  private onReady: () => void = () => {};
  private onFailure: (error: Error) => void = () => {};

  constructor(
    private readonly stage: Stage,
    private readonly onEvent: (event: DemoEvent) => void,
  ) {
    const failed = new Promise<never>((_, reject) => (this.onFailure = reject));
    const ready = new Promise<void>((resolve) => (this.onReady = resolve));
    for (let worker = 1; worker <= WORKERS; worker++) this.members.push(this.start(worker));
    const ended = Promise.all(this.members.map((member) => member.ended)).then(() => {});
    this.ready = Promise.race([ready, failed]);
    this.finished = Promise.race([ended, failed]);
    // A failure shows at whichever of the two is waited for at the time.
    this.ready.catch(() => {});
    this.finished.catch(() => {});
  }

  /** Lets the workers begin, all at once. */
  go(): void {
    this.atWork = true;
    for (const { child } of this.members) child.send('go');
  }

  /** Ends a worker as a crash would: it has no chance to release anything. */
  kill(worker: number): void {
    this.members[worker - 1]?.child.kill('SIGKILL');
    this.wasKilled(worker);
  }

  /** Ends all that still run, and waits for their end. */
  async stop(): Promise<void> {
    for (const [index, { child }] of this.members.entries()) {
      this.killed.add(index + 1);
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    }
    await Promise.all(this.members.map((member) => member.ended));
  }

  private wasKilled(worker: number): void {
    this.killed.add(worker);
    this.onEvent({ kind: 'killed', at: clock(), worker });
  }

  private start(worker: number): Member {
    const child = fork(join(__dirname, 'worker.ts'), {
      env: {
        ...process.env,
        NATS_URL: this.stage.url,
        DEMO_BUCKET: this.stage.bucket,
        DEMO_HOLDER: `worker ${worker}`,
      },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let complaint = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint += text));
    child.on('message', (message) => {
      const event = message as WorkerEvent;
      this.onEvent({ ...event, worker });
      if (event.kind === 'ready' && ++this.readyCount === WORKERS) this.onReady();
    });
    const ended = new Promise<void>((resolve) => {
      child.once('error', (error) => {
        this.onFailure(error);
        resolve();
      });
      child.once('close', (code, signal) => {
        if (this.killed.has(worker)) return resolve();
        // By whoever tries that out.
        if (signal === 'SIGKILL' && this.atWork) this.wasKilled(worker);
        else if (code !== 0) {
          this.onFailure(
            new Error(`worker ${worker} ended with ${signal ?? `status ${code}`}\n${complaint}`.trim()),
          );
        }
        resolve();
      });
    });
    return { child, ended };
  }
}
