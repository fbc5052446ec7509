import type { Board } from './board';
import type { DemoEvent } from './events';
import { ROUNDS } from './settings';
import { seconds } from './summary';

/** An event as a line of text; undefined if there is nothing to say. `board` is as it was before the event. */
export function describe(event: DemoEvent, board: Board): string | undefined {
  const who = `worker ${event.worker}`;
  switch (event.kind) {
    case 'ready':
      return undefined;
    case 'wait':
      return `${who}  waits for round ${event.round} of ${ROUNDS}`;
    case 'enter': {
      const { state } = board.workers[event.worker - 1] as Board['workers'][number];
      const waited = state.kind === 'waiting' ? ` after ${seconds(event.at - state.since)}` : '';
      return `${who}  enters slot ${event.slot}${waited}${takeover(event, board)}`;
    }
    case 'leave': {
      const megabytes = (event.bytes / 1e6).toFixed(1);
      return `${who}  leaves slot ${event.slot}: hashed ${event.files} files, ${megabytes} MB`;
    }
    case 'killed':
      return `${who}  KILLED with SIGKILL while it holds slot ${event.slot}`;
    case 'done':
      return `${who}  done`;
  }
}

function takeover(event: DemoEvent & { kind: 'enter' }, board: Board): string {
  const { killed, successor } = board;
  if (killed?.until === undefined || killed.slot !== event.slot || successor !== undefined) return '';
  return `: the slot of the killed worker ${killed.worker}, ${seconds(event.at - killed.until)} after its end`;
}
