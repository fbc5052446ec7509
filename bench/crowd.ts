import { quantile } from 'simple-statistics';
import type { Contender, Spec } from './contender';
import { monotonicMs } from './measure';
import type { Share } from './worker';
import type { WorkerProcess } from './worker-process';

/** Ms until all processes have got the order and stand ready. */
const MUSTER_MS = 100;

/** What all waiters of one crowd saw, and how long it took from the first acquire to the last release. */
export interface Crowd {
  readonly total: number;
  readonly waits: readonly number[];
  readonly works: readonly number[];
}

/** A crowd spread evenly over processes, which all ask at the same instant. */
export async function crowd(
  workers: readonly WorkerProcess[],
  contender: Contender,
  spec: Spec,
  waiters: number,
  workMs: number,
): Promise<Crowd> {
  await Promise.all(workers.map((worker) => worker.call('connect', contender)));
  const startAt = monotonicMs() + MUSTER_MS;
  const each = waiters / workers.length;
  return merge(
    await Promise.all(workers.map((worker) => worker.call('crowd', contender, spec, each, workMs, startAt))),
  );
}

export function merge(shares: readonly Share[]): Crowd {
  const start = Math.min(...shares.map((share) => share.start));
  const end = Math.max(...shares.map((share) => share.end));
  return {
    total: end - start,
    waits: shares.flatMap(({ waits }) => waits),
    works: shares.flatMap(({ works }) => works),
  };
}

/**
 * The same crowd if every slot changed hands without a pause: in rounds, each as long as the work really takes plus the
 * hand-over. With a hand-over of 0 it is what no system with messages can do; with that of the plain publishes of the same
 * run it is what a client that does nothing else can do when the server is idle.
 */
export function ideal(
  waiters: number,
  slots: number,
  workMs: number,
  handOverMs: number,
): { total: number; waits: number[]; p99: number } {
  const round = workMs + handOverMs;
  const waits = Array.from({ length: waiters }, (_, index) => Math.floor(index / slots) * round);
  return { total: Math.ceil(waiters / slots) * round, waits, p99: quantile(waits, 0.99) };
}
