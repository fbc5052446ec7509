import { warn } from './warning';
import { Abort, type Aborting } from './cancellation';

/**
 * Puts at most one listener of this library on a signal, however many callbacks wait for it, and none when no callback waits.
 * A platform signal warns of a leak at 11 listeners, and a shutdown signal of a busy process has thousands of waiters.
 */
class FanOut {
  private readonly callbacks = new Set<{ readonly call: () => void }>();
  private readonly fire = (): void => {
    this.detach();
    for (const callback of this.callbacks) {
      this.callbacks.delete(callback);
      try {
        callback.call();
      } catch (error) {
        warn('NATS_SEMAPHORE_LISTENER_FAILED', `a callback for an aborted signal failed: ${String(error)}`);
      }
    }
  };

  constructor(private readonly signal: Aborting) {
    signal.addEventListener('abort', this.fire, { once: true });
    fanOuts.set(signal, this);
  }

  add(call: () => void): () => void {
    // An entry of its own, since the same function may be added twice.
    const callback = { call };
    this.callbacks.add(callback);
    return () => {
      if (this.callbacks.delete(callback) && this.callbacks.size === 0) this.detach();
    };
  }

  private detach(): void {
    if (fanOuts.get(this.signal) !== this) return;
    fanOuts.delete(this.signal);
    this.signal.removeEventListener('abort', this.fire);
  }
}

const fanOuts = new WeakMap<Aborting, FanOut>();
const nothing = (): void => undefined;

/**
 * Calls back once when the signal aborts, in the order in which callbacks were added. If the signal has already aborted, it calls
 * back within this call. A callback that throws does not keep others from being called. The returned function stops the wait.
 */
export function onAbort(signal: Aborting | undefined, callback: () => void): () => void {
  if (signal === undefined) return nothing;
  if (signal.aborted) {
    callback();
    return nothing;
  }
  if (signal instanceof Abort) {
    signal.addEventListener('abort', callback);
    return () => signal.removeEventListener('abort', callback);
  }
  return (fanOuts.get(signal) ?? new FanOut(signal)).add(callback);
}

/** Aborts the controller as soon as one of the signals aborts, with its reason. The returned function ends that. */
export function abortWith(
  controller: AbortController,
  ...signals: readonly (AbortSignal | undefined)[]
): () => void {
  const stops = signals.map((signal) =>
    onAbort(signal, () => controller.abort(abortReason(signal as AbortSignal))),
  );
  return () => {
    for (const stop of stops) stop();
  };
}

/** Why a signal has aborted. Signals of older libraries have no `reason`. */
export function abortReason(signal: AbortSignal): unknown {
  const { reason } = signal as { reason?: unknown };
  return reason === undefined ? new DOMException('This operation was aborted', 'AbortError') : reason;
}

/** @throws the signal's reason if it has aborted; also for signals that have no `throwIfAborted` */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortReason(signal);
}
