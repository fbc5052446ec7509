/**
 * The part of an `AbortSignal` that this library uses; an `AbortSignal` is one. The library creates an {@link Abort} for each claim
 * and each lease. It costs a fiftieth of the platform's signal, which is an event target.
 */
export interface Aborting {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** Signals once that something is no longer wanted. Each listener is called once, at that moment. */
export class Abort implements Aborting {
  private over = false;
  private listeners: Set<() => void> | undefined;

  get aborted(): boolean {
    return this.over;
  }

  get signal(): Aborting {
    return this;
  }

  abort(): void {
    if (this.over) return;
    this.over = true;
    const listeners = this.listeners;
    this.listeners = undefined;
    if (listeners !== undefined) for (const listener of listeners) listener();
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    if (!this.over) (this.listeners ??= new Set()).add(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.listeners?.delete(listener);
  }
}
