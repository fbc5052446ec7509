import { readFileSync, readdirSync } from 'node:fs';
import { sleep, systemClock } from '../../runtime/clock';

/**
 * A command that was started, and if it has a process group of its own, everything in that: whatever it has started and that has not
 * left the group. As `kill` takes it: the group's number with a minus, or that of the one process.
 */
export type Target = number;

/** How long SIGKILL may take. Longer only if a process hangs in the kernel, or nobody collects dead ones. */
const KILL_WAIT_MS = 2_000;
const FIRST_LOOK_MS = 5;
const LATER_LOOK_MS = 50;

/** Sends a signal. Returns whether there was somebody to get it. */
export function sendSignal(target: Target, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(target, signal);
    return true;
  } catch (error) {
    // Some of it runs as somebody else whom we may send nothing: it is there.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Whether anything of it still runs. Processes that are dead and not yet collected by their parent do not. */
export function isAlive(target: Target): boolean {
  return sendSignal(target, 0) && !(process.platform === 'linux' && allDead(target));
}

/**
 * Ends it: SIGTERM now, SIGKILL to what is left after `grace` ms. A process that was stopped is woken, or it would not notice.
 * Resolves when nothing is left, with whether that is so.
 */
export async function endAll(target: Target, grace: number): Promise<boolean> {
  if (!isAlive(target)) return true;
  sendSignal(target, 'SIGTERM');
  sendSignal(target, 'SIGCONT');
  if (await isGoneWithin(target, grace)) return true;
  sendSignal(target, 'SIGKILL');
  return isGoneWithin(target, KILL_WAIT_MS);
}

async function isGoneWithin(target: Target, ms: number): Promise<boolean> {
  const end = systemClock.now() + ms;
  for (let wait = FIRST_LOOK_MS; isAlive(target); wait = LATER_LOOK_MS) {
    const left = end - systemClock.now();
    if (left <= 0) return false;
    await sleep(systemClock, Math.min(wait, left), undefined, { keepAlive: true });
  }
  return true;
}

/** Whether all of it are zombies: in a container without an init nobody collects them. */
function allDead(target: Target): boolean {
  if (target > 0) return stateOf(`${target}`)?.state === 'Z';
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(stateOf)
      .every((found) => found?.group !== -target || found.state === 'Z');
  } catch {
    return false;
  }
}

/** The third and the fifth field of /proc/PID/stat; the second is a name in parentheses and may hold anything. */
function stateOf(pid: string): { state: string; group: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: state ?? '', group: Number(group) };
  } catch {
    return undefined;
  }
}
