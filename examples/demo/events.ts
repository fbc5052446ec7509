/** What a worker reports. `at` is {@link clock}. */
export type WorkerEvent =
  | { kind: 'ready'; at: number }
  | { kind: 'wait'; at: number; round: number }
  | { kind: 'enter'; at: number; round: number; slot: number; token: string }
  | { kind: 'leave'; at: number; round: number; slot: number; files: number; bytes: number }
  | { kind: 'done'; at: number };

/** What the demo as a whole has to tell: a worker's own event, or what was done to a worker. */
export type DemoEvent = (WorkerEvent | { kind: 'killed'; at: number }) & { worker: number };

/** Milliseconds on the machine's monotonic clock, which is the same for all its processes. */
export function clock(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
