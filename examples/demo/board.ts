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
  | { kind: 'killed'; since: number; slot: number }
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
        this.end(event.worker, event.at, true);
        worker.state = { kind: 'killed', since: event.at, slot: event.slot };
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

  /** The stay that the kill ended. */
  get killed(): Hold | undefined {
    return this.holds.find((hold) => hold.killed === true);
  }

  /** The first stay in the killed worker's slot after it. */
  get successor(): Hold | undefined {
    const { killed } = this;
    if (killed?.until === undefined) return undefined;
    const after = killed.until;
    return this.holds.find(({ slot, from }) => slot === killed.slot && from > after);
  }

  get roundsDone(): number {
    return this.workers.reduce((sum, { rounds }) => sum + rounds, 0);
  }

  private end(worker: number, at: number, killed = false): void {
    const hold = this.holds.findLast((one) => one.worker === worker);
    if (hold === undefined || (killed && hold.until !== undefined)) return;
    hold.until = at;
    hold.killed = killed;
  }
}
