import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { FromKeeper, Start, ToKeeper } from './messages';
import { withoutLogin } from './command-environment';
import { type Target, sendSignal } from './process-group';

/** How the command came to its end. */
export type Ending =
  | Exclude<FromKeeper, { type: 'started' }>
  /** The keeper is gone, and so is what it could have told. */
  | { readonly type: 'keeper-gone' };

/** The handle of a {@link file://./keeper.ts} process. */
export class KeeperLink {
  /** How the command ended; never rejects. */
  readonly ended: Promise<Ending>;
  /** Resolves when the command runs, or never will. */
  readonly started: Promise<void>;
  private readonly process: ChildProcess;
  private readonly foreground: boolean;
  private runs: Target | undefined;

  /** Starts the keeper, and not yet the command: it is ready by the time the permit is there. */
  constructor({ foreground }: { foreground: boolean }) {
    this.foreground = foreground;
    // Options for Node in the environment are meant for the command, and the keeper needs no login.
    const env = withoutLogin(process.env);
    delete env.NODE_OPTIONS;
    this.process = spawn(process.execPath, [join(__dirname, 'keeper.js')], {
      detached: !foreground,
      env,
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    });
    let hasStarted: () => void;
    this.started = new Promise((resolve) => (hasStarted = resolve));
    this.ended = new Promise((resolve) => {
      this.process.on('message', (message: FromKeeper) => {
        if (message.type !== 'started') return resolve(message);
        this.runs = foreground ? message.pid : -message.pid;
        hasStarted();
      });
      // Its last words come before the end of the channel.
      this.process.once('disconnect', () => resolve({ type: 'keeper-gone' }));
      this.process.once('error', () => resolve({ type: 'keeper-gone' }));
    });
    void this.ended.then(() => hasStarted());
  }

  /** What runs, once it does. */
  get target(): Target | undefined {
    return this.runs;
  }

  start(start: Omit<Start, 'type' | 'foreground'>): void {
    this.say({ type: 'start', foreground: this.foreground, ...start });
  }

  /** The permit is held until `deadline`, see {@link Hold}. */
  hold(deadline: number): void {
    this.say({ type: 'hold', deadline });
  }

  /** Passes a signal on. */
  signal(signal: NodeJS.Signals): void {
    if (this.runs !== undefined) sendSignal(this.runs, signal);
  }

  /** Lets the keeper go: nothing is left to look after. */
  done(): void {
    this.say({ type: 'done' });
    if (this.process.connected) this.process.disconnect();
    this.process.unref();
  }

  private say(message: ToKeeper): void {
    if (this.process.connected) this.process.send(message, () => undefined);
  }
}
