import type { ClientLine, History } from '../history';
import type { Violation } from './violation';

/** What an acquire that has a timeout may fail with. */
const REFUSALS = new Set(['ACQUIRE_TIMEOUT', 'BACKEND_UNAVAILABLE']);
/** What may come of a release. */
const RELEASES = new Set(['ok', 'not held', 'BACKEND_UNAVAILABLE']);

/** How processes and calls ended, and what was left behind. */
export function checkEndings(history: History): Violation[] {
  return [...history.runs.flatMap(checkRun), ...checkProcesses(history)];
}

function checkRun({ client, run, lines }: History['runs'][number]): Violation[] {
  const timeouts = new Map<number, number | undefined>();
  const found: Violation[] = [];
  const add = ({ at }: ClientLine, kind: string, message: string): void =>
    void found.push({ kind, at, message: `${client}.${run}: ${message}`, permits: [], client });
  for (const line of lines) {
    if (line.t === 'ask') timeouts.set(line.ask, line.timeout);
    if (line.t === 'fault') add(line, 'unhandled', line.error);
    if (line.t === 'released' && !RELEASES.has(line.code)) add(line, 'release failed', line.code);
    if (line.t === 'refused' && !(REFUSALS.has(line.code) && timeouts.get(line.ask) !== undefined))
      add(line, 'refused', `${line.code}: ${line.message}`);
  }
  return found;
}

function checkProcesses({ faults, stream }: History): Violation[] {
  return faults.flatMap((line): Violation[] => {
    const { at } = line;
    if (line.t === 'hung')
      return [
        { kind: 'hung', at, message: `${line.client}.${line.run} did not come to its end`, permits: [] },
      ];
    if (line.t === 'exit' && !(line.expected && (line.code === 0 || line.signal === 'SIGKILL'))) {
      const { client, run, code, signal, stderr } = line;
      return [
        {
          kind: 'crashed',
          at,
          message: `${client}.${run} ended with ${signal ?? code}: ${stderr.trim().slice(-2_000)}`,
          permits: [],
          client,
        },
      ];
    }
    if (line.t === 'left') {
      // Limits and rounds of latches stay: they are what there is of the primitive.
      const keys = line.keys.filter(
        (key) => !key.endsWith('.limit') && !key.startsWith('latch.') && !isBroughtBack(key, stream),
      );
      if (keys.length + line.consumers > 0)
        return [
          {
            kind: 'left behind',
            at,
            message: `${line.consumers} consumers and the keys ${keys.join(', ') || '(none)'}`,
            permits: [],
          },
        ];
    }
    return [];
  });
}

/**
 * Whether the last thing that the stream stored under a key was its expiry. A server may have it again after a change of leader or a
 * restart, without having stored anything. What a client removed must not come back.
 */
export function isBroughtBack(key: string, stream: History['stream']): boolean {
  return stream.findLast((line) => line.key === key)?.marker === 'MaxAge';
}
