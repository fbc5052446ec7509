import { atDeadline, type Clock } from '../../runtime/clock';
import { onAbort } from '../../runtime/on-abort';
import type { Deadline } from './deadline';

/**
 * Most pending requests of one process. It is enough to use a network with a round trip of some milliseconds: a Node process writes
 * some 25,000 entries a second at most. It is few enough that all answers are read long before a request counts as lost.
 */
export const MAX_UNDERWAY = 256;

/**
 * - `urgent`: it has a deadline, as a renewal has
 * - `usual`: a claim, a release
 * - `idle`: a read, which may come later
 */
export type Urgency = 'urgent' | 'usual' | 'idle';

interface Turn {
  /** @param leave ends the turn; undefined: the request gives up */
  begin(leave: (() => void) | undefined): void;
  over: boolean;
}

/** A first-in, first-out queue. Requests that gave up stay in it until their turn comes, and are then skipped. */
class TurnQueue {
  private turns: Turn[] = [];
  private first = 0;

  add(turn: Turn): void {
    this.turns.push(turn);
  }

  next(): Turn | undefined {
    while (this.first < this.turns.length) {
      const turn = this.turns[this.first++] as Turn;
      if (!turn.over) return turn;
    }
    this.turns = [];
    this.first = 0;
    return undefined;
  }
}

/**
 * Bounds the number of pending requests. The others wait for their turn in order of arrival, urgent ones first. A waiting request
 * was not sent: its time has not begun, and it can be given up without effect.
 */
export class Window {
  private underway = 0;
  private waiting = 0;
  private readonly queues: Readonly<Record<Urgency, TurnQueue>> = {
    urgent: new TurnQueue(),
    usual: new TurnQueue(),
    idle: new TurnQueue(),
  };

  constructor(
    private readonly clock: Clock,
    private readonly max = MAX_UNDERWAY,
  ) {}

  /** Whether requests wait for their turn. */
  get isFull(): boolean {
    return this.waiting > 0;
  }

  /**
   * Waits for a turn.
   * @returns a function that ends the turn; undefined if the deadline passed, or the outcome was no longer wanted, during the wait
   */
  enter(deadline: Deadline, urgency: Urgency): (() => void) | Promise<(() => void) | undefined> {
    if (this.underway < this.max) {
      this.underway++;
      return this.leave;
    }
    return this.wait(deadline, this.queues[urgency]);
  }

  private wait({ at, abandon }: Deadline, queue: TurnQueue): Promise<(() => void) | undefined> {
    this.waiting++;
    return new Promise((resolve) => {
      // Once the outcome is no longer wanted, the remaining work is not cut short by the signal.
      const interrupt = abandon?.aborted === true ? undefined : abandon;
      const giveUp = (): void => turn.begin(undefined);
      const cancel =
        at === Infinity
          ? undefined
          : atDeadline(this.clock, at - this.clock.now(), giveUp, { keepAlive: true });
      const turn: Turn = {
        over: false,
        begin: (leave) => {
          turn.over = true;
          this.waiting--;
          cancel?.();
          stop();
          resolve(leave);
        },
      };
      const stop = onAbort(interrupt, giveUp);
      queue.add(turn);
    });
  }

  /** Ends a turn, and gives it to the next request. */
  private readonly leave = (): void => {
    const { urgent, usual, idle } = this.queues;
    const next = urgent.next() ?? usual.next() ?? idle.next();
    if (next === undefined) this.underway--;
    else next.begin(this.leave);
  };
}
