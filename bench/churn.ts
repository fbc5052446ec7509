import type { WorkerProcess } from './worker-process';

/** What processes have done together that acquire, work and release over and over. */
export interface Mark {
  readonly granted: number;
  readonly cpuMs: number;
}

/** How far they have come. */
export async function mark(workers: readonly WorkerProcess[]): Promise<Mark> {
  const marks = await Promise.all(workers.map((worker) => worker.call('churnMark')));
  return {
    granted: marks.reduce((sum, { granted }) => sum + granted, 0),
    cpuMs: marks.reduce((sum, one) => sum + one.cpuMs, 0),
  };
}
