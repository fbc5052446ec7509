import { type ChildProcess, spawn } from 'node:child_process';
import { machineTime, systemClock } from '../../runtime/clock';
import { type FromKeeper, type Start, TOO_LATE, type ToKeeper } from './messages';
import { type Target, endAll } from './process-group';
import { onSignals } from './signals';

/**
 * The process between `run` and its command. It starts the command when `run` says so, and ends it
 * - when `run` is gone without a word, by SIGKILL for one: the channel between them closes then;
 * - when `run` has not said for too long that the permit is held, because it was stopped (SIGSTOP), for one.
 *
 * It is a session of its own, so that what ends the group of `run` does not end it, and hears no signal but SIGKILL.
 */
class Keeper {
  private start: Start | undefined;
  private target: Target | undefined;
  private deadline = Infinity;
  private cancelTimer: (() => void) | undefined;
  private ending = false;
  private acted = false;

  hear(message: ToKeeper): void {
    if (message.type === 'done') process.exit(0);
    if (message.type === 'start') this.startCommand(message);
    this.deadline = message.deadline;
    this.watchDeadline();
  }

  /** Ends the command with everything in its group, and then itself if nobody is left to tell. */
  async end(): Promise<void> {
    if (this.ending) return;
    this.ending = true;
    this.acted = true;
    if (this.target !== undefined) await endAll(this.target, this.start?.grace ?? 0);
    if (!process.connected) process.exit(0);
    this.ending = false;
  }

  private startCommand(start: Start): void {
    this.start = start;
    const { args, command, env, foreground, startBefore } = start;
    // This process may have been stopped meanwhile.
    if (machineTime() >= startBefore) {
      return say({
        type: 'not-started',
        code: TOO_LATE,
        message: 'the permit was lost before it could start',
      });
    }
    let child: ChildProcess;
    try {
      child = spawn(command, args, { env, stdio: 'inherit', detached: !foreground });
    } catch (error) {
      // Arguments longer than the system takes, for one.
      return notStarted(error as NodeJS.ErrnoException);
    }
    const { pid } = child;
    if (pid !== undefined) {
      this.target = foreground ? pid : -pid;
      say({ type: 'started', pid });
    }
    child.once('error', (error) => {
      if (pid === undefined) notStarted(error);
    });
    child.once('exit', (code, signal) => say({ type: 'ended', code, signal, byKeeper: this.acted }));
  }

  private watchDeadline(): void {
    this.cancelTimer?.();
    this.cancelTimer = systemClock.after(this.deadline - machineTime(), () => {
      if (machineTime() < this.deadline) return this.watchDeadline();
      void this.end();
    });
  }
}

function notStarted(error: NodeJS.ErrnoException): void {
  say({ type: 'not-started', code: error.code ?? '', message: error.message });
}

function say(message: FromKeeper): void {
  // Who is gone needs no answer; one that goes just now is noticed by the channel's end.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

const keeper = new Keeper();
onSignals(() => undefined);
process.on('message', (message: ToKeeper) => keeper.hear(message));
process.on('disconnect', () => void keeper.end());
