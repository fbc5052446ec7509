/** Aborts at Ctrl-C and at what else asks a program to end, until disposed. */
export class StopSignal implements Disposable {
  private readonly controller = new AbortController();
  private readonly stop = (): void => this.controller.abort();

  constructor() {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, this.stop);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  [Symbol.dispose](): void {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, this.stop);
  }
}
