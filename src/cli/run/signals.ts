import { constants } from 'node:os';

export type Signal = NodeJS.Signals;

/**
 * What is not passed on: SIGKILL and SIGSTOP can not be caught; SIGCHLD is about our own children; the next four mean that this
 * process itself is broken, and returning from them would only raise them again.
 */
const NOT_PASSED_ON = new Set(['SIGKILL', 'SIGSTOP', 'SIGCHLD', 'SIGSEGV', 'SIGBUS', 'SIGFPE', 'SIGILL']);

/** What does not end a process that does nothing about it. */
const HARMLESS = new Set(['SIGCONT', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU', 'SIGURG', 'SIGWINCH', 'SIGINFO']);

/** What a terminal sends to everything in its foreground by itself. */
const OF_THE_TERMINAL = new Set([
  'SIGINT',
  'SIGQUIT',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGWINCH',
  'SIGCONT',
]);

/**
 * Every signal that can be caught and passed on, by one name each. On Linux: SIGHUP, SIGINT, SIGQUIT, SIGTRAP, SIGABRT, SIGUSR1,
 * SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF,
 * SIGWINCH, SIGIO, SIGPWR, SIGSYS. (Node can not listen for the real-time signals.)
 */
export const PASSED_ON: readonly Signal[] = [
  ...new Map(
    Object.entries(constants.signals)
      .filter(([name]) => !NOT_PASSED_ON.has(name))
      // Of two names for one number the first counts.
      .reverse()
      .map(([name, number]) => [number, name as Signal]),
  ).values(),
];

export const isHarmless = (signal: Signal): boolean => HARMLESS.has(signal);
export const isOfTheTerminal = (signal: Signal): boolean => OF_THE_TERMINAL.has(signal);

/** Calls back for every signal of {@link PASSED_ON} until the returned function is called. */
export function onSignals(callback: (signal: Signal) => void): () => void {
  const listeners = PASSED_ON.map((signal) => [signal, () => callback(signal)] as const);
  for (const [signal, listener] of listeners) process.on(signal, listener);
  return () => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
}

export function numberOf(signal: Signal): number {
  return constants.signals[signal];
}
