/**
 * The demo: worker processes share a semaphore of three slots. It shows who is in which slot, kills one holder, shows
 * its slot pass on when its ttl ends, and sums up. `npm run demo`, with `NATS_URL` set to use a server that runs.
 */
import { Board } from './board';
import { Crew } from './crew';
import { type DemoEvent, clock } from './events';
import { type Stage, openStage } from './server';
import { ROUNDS, WORKERS } from './settings';
import { summarize } from './summary';
import { openView } from './view';

/** A third of the work done: everybody is at it, and enough is left to see the slot pass on. */
const KILL_AFTER_ROUNDS = Math.floor((WORKERS * ROUNDS) / 3);
/** A victim has just begun a round, so that the kill can not come too late. */
const VICTIM_AGE_MS = { least: 200, most: 600 };
const LIMIT_MS = 60_000;

async function play(
  stage: Stage,
  board: Board,
  view: ReturnType<typeof openView>,
  stop: AbortSignal,
): Promise<void> {
  const crew = new Crew(stage, (event: DemoEvent) => {
    view.event(event);
    board.apply(event);
  });
  const stopped = new Promise<never>((_, reject) => {
    stop.addEventListener('abort', () => reject(stop.reason as Error), { once: true });
  });
  const limit = setTimeout(() => stopNow(new Error(`not done after ${LIMIT_MS / 1_000} s`)), LIMIT_MS);
  const hunter = setInterval(() => {
    if (board.killed !== undefined) return clearInterval(hunter);
    if (board.roundsDone < KILL_AFTER_ROUNDS) return;
    const victim = board.current.find(({ from }) => {
      const age = clock() - from;
      return age >= VICTIM_AGE_MS.least && age <= VICTIM_AGE_MS.most;
    });
    if (victim !== undefined) crew.kill(victim.worker);
  }, 20);
  try {
    await Promise.race([crew.ready, stopped]);
    view.begun(clock());
    crew.go();
    await Promise.race([crew.finished, stopped]);
  } finally {
    clearInterval(hunter);
    clearTimeout(limit);
    await crew.stop();
  }
}

async function main(): Promise<void> {
  const board = new Board();
  const view = openView(board);
  let stage: Stage | undefined;
  try {
    stage = await openStage();
    view.started(stage.server);
    stopping.signal.throwIfAborted();
    await play(stage, board, view, stopping.signal);
  } finally {
    view.close();
    await stage?.clear();
  }
  const { lines, failures } = summarize(board, stage.server);
  const verdict = failures.length === 0 ? [] : ['', ...failures.map((failure) => `FAILED: ${failure}`)];
  console.log(['', ...lines, ...verdict].join('\n'));
  if (failures.length > 0) process.exitCode = 1;
}

class Interrupted extends Error {
  constructor(readonly status: number) {
    super('interrupted');
  }
}

const stopping = new AbortController();
function stopNow(reason: Error): void {
  // Who asks a second time does not want to wait for the clean-up; what still runs is killed on the way out.
  if (stopping.signal.aborted) process.exit(1);
  stopping.abort(reason);
}
process.on('SIGINT', () => stopNow(new Interrupted(130)));
process.on('SIGTERM', () => stopNow(new Interrupted(143)));
process.on('SIGHUP', () => stopNow(new Interrupted(129)));
// Whoever read our output has gone.
process.stdout.on('error', () => stopNow(new Interrupted(141)));

void main().catch((failure: unknown) => {
  // An interrupt makes other things fail: a terminal sends it to the server as well.
  const error: unknown = stopping.signal.aborted ? stopping.signal.reason : failure;
  process.exitCode = error instanceof Interrupted ? error.status : 1;
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
});
