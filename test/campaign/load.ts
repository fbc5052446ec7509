/** From and to, in ms. */
export type Range = readonly [number, number];

/** Something that clients do over and over: acquire, hold, release, pause. */
export interface Job {
  readonly name: string;
  readonly kind: 'semaphore' | 'mutex' | 'read-write-lock' | 'latch';
  /** Of a read-write lock more than there are clients, of a latch what it counts down from. */
  readonly slots: number;
  readonly ttl: number;
  readonly fair: boolean;
  /** For how long a slot is kept after a release, in ms. Default: not at all. */
  readonly retain?: number;
  /** How many slots an acquire asks for, one of these at random. */
  readonly counts: readonly number[];
  readonly hold: Range;
  readonly pause: Range;
  /** Of a read-write lock: the share of those who write. */
  readonly writes?: number;
  /** Default: wait for ever. */
  readonly timeout?: number;
  /** The clients that do it, by number, each in a loop of its own. Default: all of them that may be killed. */
  readonly clients?: readonly number[];
  /** The hostile client writes to it as well, where it may: the checker has other rules for it. */
  readonly attacked?: true;
}

/** Clients that are killed now and then, as any client may be. */
const MORTAL: readonly number[] = [0, 1, 2, 3, 4, 5];
/** Clients that are not: what they do would stay taken for a minute and more. */
const STEADY: readonly number[] = [6, 7];

export const LONGEST_ATTACKED_TTL_MS = 8_000;

/** Primitives of which only the hostile client writes entries, and that clients watch, by name: what they are. */
export const VOID: Readonly<Record<string, Job['kind']>> = {
  'void-pool': 'semaphore',
  'void-door': 'mutex',
  'void-config': 'read-write-lock',
  'void-laps': 'latch',
};

/** What a client of that number watches: its part of what is attacked. */
export function watchedBy(client: number): readonly Pick<Job, 'name' | 'kind'>[] {
  const attacked = [
    ...LOAD.filter((each) => each.attacked === true).map(({ name, kind }) => ({ name, kind })),
    ...Object.entries(VOID).map(([name, kind]) => ({ name, kind })),
  ];
  return attacked.filter((_, i) => MORTAL[i % MORTAL.length] === client);
}

export const CLIENTS = MORTAL.length + STEADY.length;

export function isSteady(client: number): boolean {
  return STEADY.includes(client);
}

const READ_WRITE = { kind: 'read-write-lock', slots: 1_000 } as const;

/**
 * The load. Names are plain, so that keys need no decoding. What each is there for:
 * - config, catalogue: some who write among many who read
 * - laps: rounds of a latch, counted down by all, each begun by whoever comes first
 * - pool, queue, door, gate: contention of every kind, with short ttls so that a dead holder is followed soon
 * - long: permits that live by their renewals, all of them due whenever a server or a link fails
 * - quiet: pairs of clients that nobody else wakes: who misses a release here waits for ever
 * - again: slots that their clients keep and take again, nobody else being there
 * - turns: slots that are kept, and wanted by others all the time
 * - relay, baton: ttls long enough for slots to be given to the next in the queue, by waiters that give up and that do not
 * - rare: a ttl so long that a claim which was forgotten is seen to stay
 * - bait, lure, decoy, trap: attacked by the hostile client; slots that are kept, a queue with hand-offs, readers and writers, a latch
 * - vault, store, shelf, ledger, archive: ttls of minutes, so that it is seen if something that was removed comes back with a server
 */
export const LOAD: readonly Job[] = [
  job({ name: 'pool', slots: 3, ttl: 1_500, counts: [1, 1, 2], hold: [20, 400], pause: [20, 200] }),
  job({
    name: 'queue',
    slots: 2,
    ttl: 2_000,
    fair: true,
    counts: [1, 1, 2],
    hold: [20, 250],
    pause: [100, 600],
  }),
  job({
    name: 'door',
    kind: 'mutex',
    slots: 1,
    ttl: 1_000,
    hold: [20, 200],
    pause: [100, 500],
    timeout: 4_000,
    retain: 500,
  }),
  job({
    name: 'gate',
    kind: 'mutex',
    slots: 1,
    ttl: 1_500,
    fair: true,
    retain: 800,
    hold: [20, 200],
    pause: [200, 800],
  }),
  job({ ...READ_WRITE, name: 'config', ttl: 1_500, writes: 0.2, hold: [20, 300], pause: [20, 300] }),
  job({
    ...READ_WRITE,
    name: 'catalogue',
    ttl: 1_000,
    fair: true,
    writes: 0.3,
    hold: [20, 300],
    pause: [50, 500],
  }),
  job({ name: 'laps', kind: 'latch', slots: 40, ttl: 0, hold: [0, 0], pause: [20, 300] }),
  job({ name: 'long', slots: 6, ttl: 1_000, hold: [3_000, 9_000], pause: [20, 200] }),
  job({ name: 'longer', slots: 6, ttl: 2_000, counts: [1, 2], hold: [2_000, 9_000], pause: [20, 500] }),
  ...[0, 1, 2].map((i) =>
    job({
      name: `quiet-${i}`,
      slots: 1,
      ttl: 3_000,
      hold: [500, 1_500],
      pause: [0, 50],
      clients: [2 * i, 2 * i + 1],
    }),
  ),
  job({ name: 'again', slots: 2, ttl: 1_500, hold: [0, 60], pause: [0, 80], retain: 1_000, clients: [0, 1] }),
  job({
    name: 'turns',
    slots: 2,
    ttl: 2_000,
    hold: [0, 60],
    pause: [0, 60],
    retain: 1_500,
    clients: [2, 3, 4],
  }),
  job({
    name: 'relay',
    slots: 2,
    ttl: 8_000,
    fair: true,
    hold: [0, 60],
    pause: [0, 100],
    timeout: 1_000,
  }),
  job({ name: 'baton', kind: 'mutex', slots: 1, ttl: 7_000, fair: true, hold: [0, 150], pause: [0, 300] }),
  job({ name: 'rare', slots: 4, ttl: 10_000, hold: [20, 300], pause: [50, 400] }),
  job({
    name: 'bait',
    slots: 3,
    ttl: 1_500,
    retain: 500,
    hold: [20, 200],
    pause: [50, 400],
    timeout: 3_000,
    clients: [0, 1, 2],
    attacked: true,
  }),
  job({
    name: 'lure',
    slots: 3,
    ttl: LONGEST_ATTACKED_TTL_MS,
    fair: true,
    hold: [20, 300],
    pause: [50, 300],
    timeout: 3_000,
    clients: [3, 4, 5],
    attacked: true,
  }),
  job({
    ...READ_WRITE,
    name: 'decoy',
    ttl: 1_500,
    fair: true,
    writes: 0.3,
    hold: [20, 200],
    pause: [50, 500],
    timeout: 3_000,
    clients: [1, 3, 5],
    attacked: true,
  }),
  job({
    name: 'trap',
    kind: 'latch',
    slots: 20,
    ttl: 0,
    hold: [0, 0],
    pause: [100, 600],
    clients: [0, 2, 4],
    attacked: true,
  }),
  job({
    name: 'vault',
    kind: 'mutex',
    slots: 1,
    ttl: 60_000,
    fair: true,
    hold: [20, 200],
    pause: [50, 400],
    clients: STEADY,
  }),
  job({
    name: 'store',
    slots: 2,
    ttl: 120_000,
    counts: [1, 2],
    hold: [20, 200],
    pause: [50, 400],
    clients: STEADY,
  }),
  job({ name: 'shelf', slots: 2, ttl: 90_000, hold: [0, 60], pause: [0, 300], retain: 800, clients: STEADY }),
  job({
    name: 'ledger',
    slots: 2,
    ttl: 600_000,
    fair: true,
    counts: [1, 2],
    hold: [20, 200],
    pause: [50, 400],
    timeout: 1_000,
    clients: STEADY,
  }),
  job({
    ...READ_WRITE,
    name: 'archive',
    ttl: 60_000,
    writes: 0.3,
    hold: [20, 300],
    pause: [50, 400],
    clients: STEADY,
  }),
];

function job(some: Omit<Job, 'kind' | 'fair' | 'counts'> & Partial<Job>): Job {
  return { kind: 'semaphore', fair: false, counts: [1], clients: MORTAL, ...some };
}
