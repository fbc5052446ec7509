import type { Board } from './board';
import type { DemoEvent } from './events';
import { ROUNDS } from './settings';
import { seconds } from './summary';

/** An event as a line of text; undefined if there is nothing to say. `table` is as it was before the event. */
export function describe(event: DemoEvent, board: Board): string | undefined {
  const who = `worker ${event.worker}`;
  const { state } = board.workers[event.worker - 1] as Board['workers'][number];
  switch (event.kind) {
    case 'ready':
      return undefined;
    case 'wait':
      return `${who}  waits for round ${event.round} of ${ROUNDS}`;
    case 'enter': {
      const waited = state.kind === 'waiting' ? ` after ${seconds(event.at - state.since)}` : '';
      return `${who}  enters slot ${event.slot}${waited}${takeover(event, board)}`;
    }
    case 'leave': {
      const megabytes = (event.bytes / 1e6).toFixed(1);
      return `${who}  leaves slot ${event.slot}: hashed ${event.files} files, ${megabytes} MB`;
    }
    case 'killed': {
      const held = state.kind === 'holding' ? ` while it holds slot ${state.slot}` : '';
      return `${who}  KILLED with SIGKILL${held}`;
    }
    case 'done':
      return `${who}  done`;
  }
}

function takeover(event: DemoEvent & { kind: 'enter' }, board: Board): string {
  const before = board.holds.findLast(({ slot }) => slot === event.slot);
  if (before?.killed !== true || before.until === undefined) return '';
  return `: the slot of the killed worker ${before.worker}, ${seconds(event.at - before.until)} after its end`;
}
