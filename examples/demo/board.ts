import type { DemoEvent } from './events';
import { WORKERS } from './settings';

/** One stay in a slot. It is over when the worker said so, or was killed. */
export interface Hold {
  readonly worker: number;
  readonly slot: number;
  readonly token: bigint;
  readonly from: number;
  until?: number;
  killed?: boolean;
}

export type WorkerState =
  | { kind: 'starting' }
  | { kind: 'waiting'; since: number }
  | { kind: 'holding'; since: number; slot: number }
  | { kind: 'resting' }
  /** `hold`: the stay that it ended. */
  | { kind: 'killed'; since: number; hold: Hold | undefined }
  | { kind: 'done' };

/** What the events so far amount to. */
export class Board {
  readonly workers: { state: WorkerState; rounds: number }[] = Array.from({ length: WORKERS }, () => ({
    state: { kind: 'starting' },
    rounds: 0,
  }));
  readonly holds: Hold[] = [];
  readonly waits: number[] = [];

  /** Takes an event in; tells how long a worker that enters has waited. */
  apply(event: DemoEvent): { waited: number } {
    const worker = this.workers[event.worker - 1] as (typeof this.workers)[number];
    const before = worker.state;
    switch (event.kind) {
      case 'ready':
        break;
      case 'wait':
        worker.state = { kind: 'waiting', since: event.at };
        break;
      case 'enter': {
        const waited = before.kind === 'waiting' ? event.at - before.since : 0;
        this.waits.push(waited);
        const { slot, at } = event;
        this.holds.push({ worker: event.worker, slot, token: BigInt(event.token), from: at });
        worker.state = { kind: 'holding', since: at, slot };
        return { waited };
      }
      case 'leave':
        this.end(event.worker, event.at);
        worker.rounds++;
        // What was said before the kill may be heard after it.
        if (before.kind !== 'killed') worker.state = { kind: 'resting' };
        break;
      case 'killed':
        worker.state = { kind: 'killed', since: event.at, hold: this.end(event.worker, event.at, true) };
        break;
      case 'done':
        worker.state = { kind: 'done' };
    }
    return { waited: 0 };
  }

  /** Who is in which slot now. */
  get current(): Hold[] {
    return this.holds.filter((hold) => hold.until === undefined);
  }

  /** The first stay that a kill ended. */
  get killed(): Hold | undefined {
    return this.holds.find((hold) => hold.killed === true);
  }

  /** The first stay in the killed worker's slot after it. */
  get successor(): Hold | undefined {
    return this.killed && this.after(this.killed);
  }

  /** The first stay in a slot after another. */
  after({ slot, until }: Hold): Hold | undefined {
    return until === undefined
      ? undefined
      : this.holds.find((hold) => hold.slot === slot && hold.from > until);
  }

  get roundsDone(): number {
    return this.workers.reduce((sum, { rounds }) => sum + rounds, 0);
  }

  private end(worker: number, at: number, killed = false): Hold | undefined {
    const hold = this.holds.findLast((one) => one.worker === worker);
    if (hold === undefined || (killed && hold.until !== undefined)) return undefined;
    hold.until = at;
    hold.killed = killed;
    return hold;
  }
}
