import type { Change } from './history';

export interface ReadWriteReplay {
  /** What must not be, with the revision at which it was. */
  readonly faults: readonly string[];
  /** Most who read at one revision. */
  readonly mostReaders: number;
  readonly writers: number;
  readonly readers: number;
  /** Tickets that were overtaken by one who came later and whom they exclude. */
  readonly overtaken: number;
  /** Most claims by one process that did not queue, after a ticket to write was made and before that was served. */
  readonly mostPassed: number;
  /** How many were granted to tickets. */
  readonly queued: number;
  /** Keys that hold a value at the end. */
  readonly left: readonly string[];
}

interface Fields {
  permit: string;
  holder: string;
  ticket?: string;
  token?: number;
  mode?: string;
}

interface Hold {
  readonly permit: string;
  readonly holder: string;
  readonly ticket: string | undefined;
}

/**
 * One read-write lock as its keys show it, revision by revision. It reads them by itself, so as to share no mistake with
 * the library.
 */
export function replayReadWrite(token: string, changes: readonly Change[]): ReadWriteReplay {
  const prefix = `rw.${token}.`;
  const faults: string[] = [];
  const readers = new Map<string, Hold>();
  const tickets = new Map<string, { order: number; mode: string; passed: Map<string, number> }>();
  let writer: (Hold & { alone: boolean }) | undefined;
  const count = { writers: 0, readers: 0 };
  let mostReaders = 0;
  let [overtaken, mostPassed, queued] = [0, 0, 0];

  const served = (): Set<string | undefined> =>
    new Set([writer, ...readers.values()].map((hold) => hold?.ticket));
  const checkOrder = (own: Hold, mode: string): void => {
    const order = own.ticket === undefined ? undefined : tickets.get(own.ticket)?.order;
    const gone = served();
    if (order === undefined) {
      for (const [id, { mode: wanted, passed }] of tickets) {
        if (gone.has(id) || wanted === 'read') continue;
        passed.set(own.holder, (passed.get(own.holder) ?? 0) + 1);
        mostPassed = Math.max(mostPassed, ...passed.values());
      }
      return;
    }
    queued++;
    for (const [id, other] of tickets)
      if (!gone.has(id) && other.order < order && !(mode === 'read' && other.mode === 'read')) overtaken++;
  };

  for (const { key, value, revision } of changes) {
    if (!key.startsWith(prefix)) continue;
    const [part, id = ''] = key.slice(prefix.length).split('.');
    const fields = value === null ? undefined : (JSON.parse(value) as Fields);
    if (part === 'ticket') {
      if (fields === undefined) tickets.delete(id);
      else {
        const passed = tickets.get(id)?.passed ?? new Map<string, number>();
        tickets.set(id, { order: fields.token ?? revision, mode: fields.mode ?? '', passed });
      }
    } else if (part === 'writer') {
      const own = fields && toHold(fields);
      if (own !== undefined && own.permit !== writer?.permit) {
        if (writer !== undefined)
          faults.push(`${revision}: ${own.permit} took the place of ${writer.permit}`);
        count.writers++;
        writer = { ...own, alone: readers.size === 0 };
        checkOrder(own, 'write');
      } else if (own === undefined) {
        writer = undefined;
      }
    } else if (part === 'reader') {
      if (fields === undefined) {
        readers.delete(id);
      } else if (!readers.has(id)) {
        const own = toHold(fields);
        readers.set(id, own);
        // Who writes may go over to reading.
        if (writer !== undefined && writer.permit !== own.permit)
          faults.push(
            `${revision}: ${own.permit} began to read while ${writer.permit} had the writer's place`,
          );
        if (writer?.permit !== own.permit) {
          count.readers++;
          checkOrder(own, 'read');
        }
      }
    } else {
      faults.push(`${revision}: unknown key ${key}`);
    }
    if (writer !== undefined && readers.size === 0) writer.alone = true;
    const others = [...readers.values()].filter(({ permit }) => permit !== writer?.permit);
    if (writer?.alone === true && others.length > 0)
      faults.push(`${revision}: ${writer.permit} is not alone`);
    mostReaders = Math.max(mostReaders, readers.size);
  }
  const left = [
    ...(writer === undefined ? [] : [`${prefix}writer`]),
    ...[...readers.keys()].map((id) => `${prefix}reader.${id}`),
    ...[...tickets.keys()].map((id) => `${prefix}ticket.${id}`),
  ];
  return { faults, mostReaders, ...count, overtaken, mostPassed, queued, left };
}

function toHold({ permit, holder, ticket }: Fields): Hold {
  return { permit, holder, ticket };
}
