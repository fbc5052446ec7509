/** What a dispatcher tells of itself, by name. */
export interface DispatcherEvents {
  /**
   * With `onUnavailable: "local"`: from now on permits are granted within this process only.
   * - `cause`: why the server counts as out of reach
   */
  degraded: { readonly cause: Error };
  /**
   * The server is back: from now on permits are granted for all processes again. Local ones that are held are held on.
   * - `afterMs`: how long it was degraded
   */
  restored: { readonly afterMs: number };
}

export type EventName = keyof DispatcherEvents;
type Listener = (detail: never) => void;

/** Listeners by event. One that throws does no harm to the others, nor to whoever tells: the process is warned. */
export class Events {
  private readonly listeners = new Map<EventName, Set<Listener>>();

  /** Returns how to stop listening. */
  on<E extends EventName>(event: E, listener: (detail: DispatcherEvents[E]) => void): () => void {
    if (typeof listener !== 'function') throw new TypeError('listener must be a function');
    const all = this.listeners.get(event) ?? new Set();
    this.listeners.set(event, all.add(listener));
    return () => all.delete(listener);
  }

  /** Returns whether anybody listened. */
  tell<E extends EventName>(event: E, detail: DispatcherEvents[E]): boolean {
    const all = [...(this.listeners.get(event) ?? [])] as ((detail: DispatcherEvents[E]) => void)[];
    for (const listener of all) {
      try {
        listener(detail);
      } catch (error) {
        process.emitWarning(`a listener for "${event}" failed: ${String(error)}`, 'NatsSemaphoreWarning');
      }
    }
    return all.length > 0;
  }
}
