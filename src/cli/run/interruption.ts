import { onAbort } from '../../runtime/on-abort';
import { EXIT, ExitError } from '../exit-codes';
import type { KeeperLink } from './keeper-link';
import { type Signal, isHarmless, isOfTheTerminal, numberOf, onSignals } from './signals';

/** What becomes of signals to `run`: before the command is started they end the wait, afterwards they are passed on. */
export class Interruption implements Disposable {
  private readonly controller = new AbortController();
  private readonly stopListening: () => void;
  private keeper: KeeperLink | undefined;
  /** What came while the command was being started. */
  private readonly held: Signal[] = [];

  constructor(private readonly foreground: boolean) {
    this.stopListening = onSignals((signal) => this.hear(signal));
  }

  /** Aborts with an {@link ExitError} if a signal ends the wait. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Rejects when a signal ends the wait. */
  get interrupted(): Promise<never> {
    return new Promise((_, reject) => {
      const { signal } = this.controller;
      onAbort(signal, () => reject(signal.reason as Error));
    });
  }

  /** From now on signals are the command's. */
  passTo(keeper: KeeperLink): void {
    this.keeper = keeper;
    void keeper.started.then(() => {
      for (const signal of this.held.splice(0)) keeper.signal(signal);
    });
  }

  [Symbol.dispose](): void {
    this.stopListening();
  }

  private hear(signal: Signal): void {
    const { keeper } = this;
    if (keeper === undefined) {
      // Node ignores it from the start: a reader that went away is no reason to stop.
      if (isHarmless(signal) || signal === 'SIGPIPE') return;
      const status = EXIT.signal + numberOf(signal);
      this.controller.abort(new ExitError(status, `stopped waiting: ${signal}`, 'INTERRUPTED'));
    } else if (this.foreground && isOfTheTerminal(signal)) {
      // The command got it from the terminal too. Stopped by it, this process has to stop for the shell to notice.
      if (signal === 'SIGTSTP') process.kill(process.pid, 'SIGSTOP');
    } else if (keeper.target === undefined) {
      this.held.push(signal);
    } else {
      keeper.signal(signal);
    }
  }
}
