/** Somebody went in to read or to write, or came out. Times are of one clock for all processes. */
export interface ReadWriteStep {
  readonly type: 'in' | 'out';
  readonly mode: 'read' | 'write';
  readonly name: string;
  readonly permit: string;
  readonly token: string;
  readonly at: number;
}

export interface ReadWriteStay {
  readonly mode: 'read' | 'write';
  readonly permit: string;
  readonly token: bigint;
  readonly from: number;
  to: number;
}

/** The stays in one process's log. @param end when the process was killed, which ended the last of them */
export function staysOf(steps: readonly ReadWriteStep[], end = Infinity): ReadWriteStay[] {
  const stays: ReadWriteStay[] = [];
  for (const { type, mode, permit, token, at } of steps) {
    const open = stays.find((stay) => stay.permit === permit && stay.mode === mode && stay.to === end);
    if (type === 'in') stays.push({ mode, permit, token: BigInt(token), from: at, to: end });
    else if (open !== undefined) open.to = at;
    else throw new Error(`permit ${permit} came out without having gone in`);
  }
  return stays;
}

export interface ReadWriteReport {
  /** Two at the same time of which one wrote. */
  readonly overlaps: readonly (readonly [ReadWriteStay, ReadWriteStay])[];
  /** One who writes with a token no larger than that of an earlier one, or one who reads with one no larger than a writer's. */
  readonly tokenFaults: readonly (readonly [ReadWriteStay, ReadWriteStay])[];
  /** Most who read at once. */
  readonly mostReaders: number;
}

/** What the merged logs of all processes say. */
export function readWriteReport(stays: readonly ReadWriteStay[]): ReadWriteReport {
  const sorted = [...stays].sort((a, b) => a.from - b.from);
  const overlaps: (readonly [ReadWriteStay, ReadWriteStay])[] = [];
  const tokenFaults: (readonly [ReadWriteStay, ReadWriteStay])[] = [];
  let inside: ReadWriteStay[] = [];
  let mostReaders = 0;
  let [lastWriter, lastOfAll]: [ReadWriteStay?, ReadWriteStay?] = [];
  for (const stay of sorted) {
    inside = inside.filter(({ to }) => to > stay.from);
    for (const other of inside)
      if (stay.mode === 'write' || other.mode === 'write') overlaps.push([other, stay]);
    inside.push(stay);
    mostReaders = Math.max(mostReaders, inside.filter(({ mode }) => mode === 'read').length);
    const before = stay.mode === 'write' ? lastOfAll : lastWriter;
    // One that writes and then reads keeps its token.
    if (before !== undefined && before.permit !== stay.permit && stay.token <= before.token)
      tokenFaults.push([before, stay]);
    if (stay.token > (lastOfAll?.token ?? 0n)) lastOfAll = stay;
    if (stay.mode === 'write') lastWriter = stay;
  }
  return { overlaps, tokenFaults, mostReaders };
}
