import type { ClientLine, History } from '../history';
import { isHostileKey } from '../hostile/marks';
import { endOf } from './returns';
import type { Violation } from './violation';

/** What an acquire that has a timeout may fail with. */
const REFUSALS = new Set(['ACQUIRE_TIMEOUT', 'BACKEND_UNAVAILABLE']);
/** What may come of a release. */
const RELEASES = new Set(['ok', 'not held', 'BACKEND_UNAVAILABLE']);

/** What may come of an acquire of what the hostile client writes to, as well: slots that can not be read are taken. */
const REFUSED_BY_ENTRIES = 'CORRUPT_ENTRY';

/** How processes and calls ended, and what was left behind. */
export function checkEndings(history: History): Violation[] {
  const attacked = new Set(history.facts.jobs.flatMap((job) => (job.attacked ? [job.name] : [])));
  return [...history.runs.flatMap((run) => checkRun(run, attacked)), ...checkProcesses(history)];
}

function checkRun(
  { client, run, lines }: History['runs'][number],
  attacked: ReadonlySet<string>,
): Violation[] {
  const asks = new Map<number, Extract<ClientLine, { t: 'ask' }>>();
  const found: Violation[] = [];
  const add = ({ at }: ClientLine, kind: string, message: string): void =>
    void found.push({ kind, at, message: `${client}.${run}: ${message}`, permits: [], client });
  for (const line of lines) {
    if (line.t === 'ask') asks.set(line.ask, line);
    if (line.t === 'reader ended') add(line, 'reader ended', `${line.name}: ${line.error}`);
    if (line.t === 'fault') add(line, 'unhandled', line.error);
    if (line.t === 'released' && !RELEASES.has(line.code)) add(line, 'release failed', line.code);
    if (line.t === 'refused' && !mayBeRefused(line.code, asks.get(line.ask), attacked))
      add(line, 'refused', `${line.code}: ${line.message}`);
  }
  return found;
}

function mayBeRefused(
  code: string,
  ask: Extract<ClientLine, { t: 'ask' }> | undefined,
  attacked: ReadonlySet<string>,
): boolean {
  if (ask?.timeout === undefined) return false;
  return REFUSALS.has(code) || (code === REFUSED_BY_ENTRIES && attacked.has(ask.name));
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
        (key) =>
          !key.endsWith('.limit') &&
          !key.startsWith('latch.') &&
          !isHostileKey(key) &&
          !isBroughtBack(key, stream, at) &&
          stream.findLast((each) => each.key === key)?.hostile === undefined,
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
 * Whether a server has an entry of the key again at that time without having stored it, after a change of leader or a restart: the last
 * thing that the stream stored was its expiry, or its removal, and the TTL of all that was stored before is over. What a client removed
 * must not come back before that.
 */
export function isBroughtBack(key: string, stream: History['stream'], at: number): boolean {
  const lines = stream.filter((line) => line.key === key);
  const last = lines.at(-1);
  if (last === undefined || last.value !== null) return false;
  return last.marker === 'MaxAge' || lines.every((line) => line.value === null || endOf(line) < at);
}
