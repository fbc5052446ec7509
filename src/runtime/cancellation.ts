/**
 * What is needed of an `AbortSignal` within the library; an `AbortSignal` is one. Our own is made for each claim and each
 * lease, and costs a fiftieth of the platform's, which is an event target.
 */
export interface Aborting {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** Says once that something is no longer wanted. A listener is called once, at that moment. */
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
