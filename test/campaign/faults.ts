import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '@nats-io/transport-node';
import { jetstreamManager } from '@nats-io/jetstream';
import type { TestServer } from '../../src/testing';
import { within } from '../support/random';
import type { Arena, Participant } from './arena';
import type { Range } from './load';
import type { TopologyName } from './topology';

interface Strike {
  readonly detail: string;
  /** Does it, and resolves with how to end it. */
  readonly begin: () => Promise<() => Promise<void> | void> | (() => Promise<void> | void);
}

/** Something that goes wrong for a while. */
interface Fault<T> {
  readonly kind: string;
  /** How long it lasts. */
  readonly ms: Range;
  /** How often it comes in each round of all of them. Default 1. */
  readonly weight?: number;
  /** Whether what it happens to does not live on. */
  readonly deadly?: boolean;
  readonly strike: (arena: Arena, target: T, random: () => number) => Strike | Promise<Strike>;
}

type LinkFault = Omit<Fault<unknown>, 'strike'> & {
  readonly breaking?: boolean;
  readonly apply: (participant: Participant, random: () => number) => string;
};

const LINK_FAULTS: readonly LinkFault[] = [
  { kind: 'link cut', ms: [300, 3_000], weight: 2, apply: ({ link }) => (link.cut(), '') },
  { kind: 'link half-open', ms: [1_000, 4_000], breaking: true, apply: ({ link }) => (link.halfOpen(), '') },
  { kind: 'link held up', ms: [600, 3_500], weight: 2, apply: ({ link }) => (link.holdUp(), '') },
  {
    kind: 'link slow',
    ms: [2_000, 5_000],
    apply: ({ link }, random) => {
      const ms = within(random, 30, 400);
      link.slow(ms);
      return `${ms} ms each way`;
    },
  },
  { kind: 'announcements lost', ms: [2_000, 5_000], apply: ({ link }) => (link.dropAnnouncements(), '') },
  { kind: 'answers lost', ms: [500, 3_000], weight: 2, apply: ({ link }) => (link.dropAnswers(), '') },
];

/** What happens to one client. */
export const CLIENT_FAULTS: readonly Fault<Participant>[] = [
  {
    kind: 'client killed',
    ms: [100, 1_500],
    weight: 2,
    deadly: true,
    strike: (arena, target) => ({
      detail: `run ${target.process.run}`,
      begin: async () => {
        await arena.kill(target);
        return () => arena.startAgain(target);
      },
    }),
  },
  {
    kind: 'client stopped',
    ms: [1_200, 7_500],
    weight: 2,
    strike: (_, { process }) => ({
      detail: `run ${process.run}`,
      begin: () => {
        process.signal('SIGSTOP');
        return () => process.signal('SIGCONT');
      },
    }),
  },
  ...LINK_FAULTS.map(({ kind, ms, weight, breaking, apply }): Fault<Participant> => ({
    kind,
    ms,
    weight,
    strike: (_, target, random) => {
      const detail = apply(target, random);
      return { detail, begin: () => () => target.link.mend({ breaking }) };
    },
  })),
];

const EVERY_LINK_FAULTS: readonly Fault<undefined>[] = [
  ...LINK_FAULTS.filter(({ kind }) => /cut|half-open|answers/.test(kind)).map(
    ({ kind, ms, breaking, apply }): Fault<undefined> => ({
      kind: `every ${kind}`,
      ms: [ms[0], Math.min(ms[1], 2_500)],
      strike: ({ participants }, _, random) => ({
        detail: '',
        begin: () => {
          for (const participant of participants) apply(participant, random);
          return () => {
            for (const { link } of participants) link.mend({ breaking });
          };
        },
      }),
    }),
  ),
];

/** Longer than a marker of the shortest TTL stays. */
const REST: Range = [2_500, 5_000];

/** Runs out a little after the leases that it cuts off, so that renewals wait when the server goes on. */
const PAUSE: Range = [800, 3_500];

const SERVER_FAULTS: readonly Fault<undefined>[] = [
  {
    kind: 'server killed',
    ms: [50, 2_500],
    strike: ({ topology }, _, random) => death(anyOf(topology.servers, random)),
  },
  {
    kind: 'leader killed',
    ms: [500, 3_000],
    strike: async (arena, _, random) => death(await leaderOf(arena, random)),
  },
  {
    kind: 'server killed at rest',
    ms: [50, 1_500],
    strike: (arena, _, random) => deathAtRest(arena, random),
  },
  {
    kind: 'server paused',
    ms: PAUSE,
    weight: 3,
    strike: async (arena, _, random) => {
      const server = await leaderOf(arena, random);
      return {
        detail: server.name,
        begin: () => {
          server.pause();
          return () => server.resume();
        },
      };
    },
  },
  {
    kind: 'consumers deleted',
    ms: [0, 0],
    strike: async (arena) => {
      const server = await leaderOf(arena, () => 0);
      const deleted = await deleteConsumers(server.url, arena.stream);
      return { detail: `${deleted} of them`, begin: () => () => undefined };
    },
  },
];

/** What happens to everybody, by where it does: a single server's death is that of its leader. */
export function commonFaults(topology: TopologyName): Fault<undefined>[] {
  const servers = SERVER_FAULTS.filter(({ kind }) => topology !== 'r1' || kind !== 'leader killed');
  return [...EVERY_LINK_FAULTS, ...servers];
}

export function kindsOfFaults(topology: TopologyName): string[] {
  return [...CLIENT_FAULTS, ...commonFaults(topology)].map(({ kind }) => kind);
}

function death(server: TestServer): Strike {
  return {
    detail: server.name,
    begin: async () => {
      await server.kill();
      return () => server.restart();
    },
  };
}

/** All clients let go of everything, for a while nothing happens, and then a server dies, or all of several do. */
function deathAtRest(arena: Arena, random: () => number): Strike {
  const { servers } = arena.topology;
  const victims = random() < 0.5 ? servers : [anyOf(servers, random)];
  const restMs = within(random, ...REST);
  return {
    detail: victims.map(({ name }) => name).join(', '),
    begin: async () => {
      arena.rest(true);
      await sleep(restMs);
      await Promise.all(victims.map((server) => server.kill()));
      return async () => {
        await Promise.all(victims.map((server) => server.restart()));
        await arena.recorder.look();
        arena.rest(false);
      };
    },
  };
}

function anyOf<T>(some: readonly T[], random: () => number): T {
  return some[within(random, 0, some.length - 1)] as T;
}

async function leaderOf(arena: Arena, random: () => number): Promise<TestServer> {
  const { topology } = arena;
  for (let tries = 0; tries < 50; tries++) {
    const leader = await topology.leaderOf(arena.stream);
    if (leader !== undefined) return leader;
    await sleep(200);
  }
  return anyOf(topology.servers, random);
}

/** Deletes whatever consumers the stream has; ours make none. */
async function deleteConsumers(url: string, stream: string): Promise<number> {
  const connection = await connect({ servers: url, timeout: 2_000, maxReconnectAttempts: 0 });
  try {
    const manager = await jetstreamManager(connection, { checkAPI: false, timeout: 2_000 });
    let deleted = 0;
    for await (const { name } of manager.consumers.list(stream)) {
      await manager.consumers.delete(stream, name);
      deleted++;
    }
    return deleted;
  } catch {
    return 0;
  } finally {
    await connection.close();
  }
}

/** Gives faults in random order: in each round first one of every kind, then more of those that have a weight. */
export class Bag<T> {
  private left: Fault<T>[] = [];

  constructor(
    private readonly faults: readonly Fault<T>[],
    private readonly random: () => number,
  ) {}

  next(): Fault<T> {
    if (this.left.length === 0) {
      const more = this.faults.flatMap((fault) =>
        Array.from({ length: (fault.weight ?? 1) - 1 }, () => fault),
      );
      this.left = [...this.shuffled(this.faults), ...this.shuffled(more)];
    }
    return this.left.shift() as Fault<T>;
  }

  private shuffled(faults: readonly Fault<T>[]): Fault<T>[] {
    const left = [...faults];
    return faults.map(() => left.splice(within(this.random, 0, left.length - 1), 1)[0] as Fault<T>);
  }
}

/** Lets a fault happen from its beginning to its end. */
export async function inflict<T>(
  arena: Arena,
  fault: Fault<T>,
  target: T,
  targetName: string,
  random: () => number,
): Promise<void> {
  const ms = within(random, ...fault.ms);
  // Before it as well: what a server still has a while after it came back, it has forgotten.
  if (targetName === 'server') await arena.recorder.look();
  const ended = arena.begin(fault.kind, targetName, `${ms} ms`);
  try {
    const { begin } = await fault.strike(arena, target, random);
    const end = await begin();
    await sleep(ms);
    await end();
  } finally {
    ended();
  }
  if (targetName === 'server') await arena.recorder.look();
}
