import { rmSync } from 'node:fs';
import { runInThisContext } from 'node:vm';

const KEY = Symbol.for('nats-semaphore.testing.reaper');
// jest gives tests a copy of `process` that never hears 'exit'; the main context has the real one.
const main = runInThisContext('process') as NodeJS.Process & { [KEY]?: Reaper };
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Sees to it that this process leaves no child and no directory behind, however it ends short of SIGKILL. */
class Reaper {
  private readonly pids = new Set<number>();
  private readonly dirs = new Set<string>();
  private listening = false;

  watchChild(pid: number): void {
    this.pids.add(pid);
    this.update();
  }

  /** The child is gone: its id may soon belong to somebody else's process. */
  forgetChild(pid: number): void {
    this.pids.delete(pid);
    this.update();
  }

  watchDirectory(dir: string): void {
    this.dirs.add(dir);
    this.update();
  }

  forgetDirectory(dir: string): void {
    this.dirs.delete(dir);
    this.update();
  }

  // The listeners are there only while there is something to clean up: a library must not change what ctrl-C does.
  private update(): void {
    const needed = this.pids.size + this.dirs.size > 0;
    if (needed === this.listening) return;
    this.listening = needed;
    const change = needed ? 'on' : 'off';
    main[change]('exit', this.reap);
    for (const signal of SIGNALS) main[change](signal, this.onSignal);
  }

  private readonly onSignal = (signal: NodeJS.Signals): void => {
    // Somebody else decides what the signal means; if it is the end, 'exit' follows.
    if (main.listenerCount(signal) > 1) return;
    this.reap();
    main.kill(main.pid, signal);
  };

  private readonly reap = (): void => {
    for (const pid of this.pids) {
      try {
        main.kill(pid, 'SIGKILL');
      } catch {
        // It was gone already.
      }
    }
    this.pids.clear();
    for (const dir of this.dirs) {
      try {
        rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
      } catch {
        // A directory left in the system's temporary one is no reason to change how the process ends.
      }
    }
    this.dirs.clear();
    this.update();
  };
}

/** One for the process, also when this module is loaded once per test file: two would each leave a signal to the other. */
export const reaper: Reaper = (main[KEY] ??= new Reaper());
