import type { Board, Hold, WorkerState } from './board';
import { ALARM, BOLD, DIM, type Line, type Span, workerStyle } from './paint';
import { NAME, ROUNDS, SLOTS, TTL_MS, WORKERS } from './settings';
import { seconds } from './summary';

const LABEL = 9;
/** How much time one column of the strips stands for. */
const COLUMN_MS = 200;
const KILLED = 'x';
const FREE = '·';

/** What the terminal shows at a moment. `start` is when the workers began; undefined while they have not. */
export function frame(
  board: Board,
  now: number,
  start: number | undefined,
  server: string,
  width: number,
): Line[] {
  const elapsed = start === undefined ? 'starting' : `${((now - start) / 1_000).toFixed(1)} s`;
  const title = 'nats-semaphore demo';
  const room = Math.max(0, width - title.length - elapsed.length - 2);
  const lines: Line[] = [
    [' ', { text: title, style: BOLD }, ' '.repeat(room), elapsed],
    [{ text: ` ${server}`, style: DIM }],
    [
      {
        text: ` ${WORKERS} processes share dispatcher.semaphore("${NAME}", ${SLOTS}), ttl ${TTL_MS / 1_000} s`,
        style: DIM,
      },
    ],
    [],
  ];
  for (let slot = 0; slot < SLOTS; slot++) {
    lines.push([` slot ${slot}`.padEnd(LABEL), ...strip(board, slot, now, start, width - LABEL - 1)]);
  }
  lines.push([]);
  for (const [index, { state, rounds }] of board.workers.entries()) {
    const worker = index + 1;
    const badge = { text: ` ${worker} `, style: state.kind === 'killed' ? ALARM : workerStyle(worker) };
    lines.push([' ', badge, ' ', ...progress(rounds), '  ', ...describe(state, worker, board, now)]);
  }
  return lines;
}

function describe(state: WorkerState, worker: number, board: Board, now: number): Line {
  switch (state.kind) {
    case 'starting':
      return [{ text: 'starting', style: DIM }];
    case 'waiting':
      return [`waits ${ago(state.since, now)}`];
    case 'holding':
      return [
        { text: `holds slot ${state.slot}`, style: BOLD },
        `, hashing files for ${ago(state.since, now)}`,
      ];
    case 'resting':
      return [{ text: 'between two rounds', style: DIM }];
    case 'done':
      return [{ text: 'done', style: DIM }];
    case 'killed': {
      const { hold } = state;
      if (hold === undefined) return [{ text: 'KILLED', style: ALARM }];
      const successor = board.after(hold);
      if (successor === undefined) {
        return [
          { text: `KILLED ${ago(state.since, now)} ago`, style: ALARM },
          `: slot ${hold.slot} stays taken until its ttl ends`,
        ];
      }
      const after = seconds(successor.from - state.since);
      return [
        { text: 'KILLED', style: ALARM },
        `: slot ${hold.slot} went to worker ${successor.worker} after ${after}`,
      ];
    }
  }
}

function progress(rounds: number): Line {
  return ['■'.repeat(rounds), { text: '□'.repeat(Math.max(0, ROUNDS - rounds)), style: DIM }];
}

/** Who had a slot when: one column a moment, the latest at the right end once they do not all fit. */
function strip(board: Board, slot: number, now: number, start: number | undefined, columns: number): Span[] {
  if (start === undefined || columns <= 0) return [];
  const count = Math.floor((now - start) / COLUMN_MS) + 1;
  const holds = board.holds.filter((hold) => hold.slot === slot);
  const spans: Span[] = [];
  for (let column = Math.max(0, count - columns); column < count; column++) {
    spans.push(cell(holds, start + (column + 0.5) * COLUMN_MS, now));
  }
  return spans;
}

function cell(holds: readonly Hold[], at: number, now: number): Span {
  const time = Math.min(at, now);
  const hold = holds.findLast(({ from }) => from <= time);
  if (hold !== undefined && time < (hold.until ?? Infinity)) {
    return { text: `${hold.worker}`, style: workerStyle(hold.worker) };
  }
  if (hold?.killed === true) return { text: KILLED, style: ALARM };
  return { text: FREE, style: DIM };
}

function ago(since: number, now: number): string {
  return `${(Math.max(0, now - since) / 1_000).toFixed(1)} s`;
}
