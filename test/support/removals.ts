import { headers } from '@nats-io/transport-node';
import { NatsDispatcher } from '../../src';
import { ClientLink } from './client-link';
import { BucketProbe } from './bucket-probe';
import { eventually } from './eventually';
import { useOf } from './token';

/** Clients of one bucket, and a look past them. */
export class RemovalWorld implements AsyncDisposable {
  private constructor(
    readonly servers: readonly string[],
    readonly a: NatsDispatcher,
    readonly b: NatsDispatcher,
    readonly probe: BucketProbe,
    private readonly replicas: number,
  ) {}

  static async open(servers: readonly string[], replicas = 1): Promise<RemovalWorld> {
    const connect = (): Promise<NatsDispatcher> => connectTo(servers, replicas);
    const a = await connect();
    await a.ready();
    const [b, probe] = await Promise.all([connect(), BucketProbe.open([...servers])]);
    return new RemovalWorld(servers, a, b, probe, replicas);
  }

  connect(servers: readonly string[] = this.servers): Promise<NatsDispatcher> {
    return connectTo(servers, this.replicas);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.a.close(), this.b.close(), this.probe[Symbol.asyncDispose]()]);
  }
}

function connectTo(servers: readonly string[], replicas: number): Promise<NatsDispatcher> {
  return NatsDispatcher.connect({ servers: [...servers], replicas });
}

/** One way in which something is removed from the bucket. */
interface Removal {
  /** Kind of the primitive, as keys begin with it. */
  readonly kind: 'mutex' | 'sem' | 'rw';
  readonly fair?: boolean;
  /** Resolves when nothing of it is held or waited for any more. */
  readonly remove: (world: RemovalWorld, name: string, ttl: number) => Promise<void>;
}

const SLOTS = 5;
const WAIT_MS = 15_000;
/** What a client that is gone left behind says that it lives; the server has it for longer. */
const OVERDUE_MS = 1_000;

const REMOVALS: Readonly<Record<string, Removal>> = {
  'a mutex': {
    kind: 'mutex',
    remove: async ({ a }, name, ttl) => void (await (await a.mutex(name, { ttl }).acquire()).release()),
  },
  'all slots of a semaphore': {
    kind: 'sem',
    remove: async ({ a }, name, ttl) => {
      const semaphore = a.semaphore(name, SLOTS, { ttl });
      const permits = await Promise.all(Array.from({ length: SLOTS }, () => semaphore.acquire()));
      await Promise.all(permits.map((permit) => permit.release()));
    },
  },
  'a permit of several slots, in parts': {
    kind: 'sem',
    remove: async ({ a }, name, ttl) => {
      const permit = await a.semaphore(name, SLOTS, { ttl }).acquire({ count: 3 });
      await permit.release(2);
      await permit.release();
    },
  },
  'readers and a writer': {
    kind: 'rw',
    remove: async ({ a, b }, name, ttl) => {
      const readers = await Promise.all(
        [a, b].map((each) => each.readWriteLock(name, { ttl }).read.acquire()),
      );
      const writing = a.readWriteLock(name, { ttl }).write.acquire();
      await Promise.all(readers.map((permit) => permit.release()));
      await (await writing).release();
    },
  },
  'a downgrade': {
    kind: 'rw',
    remove: async ({ a }, name, ttl) => {
      const writer = await a.readWriteLock(name, { ttl }).write.acquire();
      await (await writer.downgrade()).release();
    },
  },
  'a ticket that was withdrawn': {
    kind: 'sem',
    fair: true,
    remove: async ({ a, b, probe }, name, ttl) => {
      const options = { ttl, fair: true };
      const permit = await a.semaphore(name, 1, options).acquire();
      const waiting = b.semaphore(name, 1, options).tryAcquire({ timeout: 600 });
      await probe.announced(({ key }) => key.startsWith(`sem.${name}.ticket.`));
      if ((await waiting) !== null) throw new Error(`${name} was granted twice`);
      await permit.release();
    },
  },
  'a ticket that was served, with the slot handed off if the ttl allows it': {
    kind: 'sem',
    fair: true,
    remove: async ({ a, b, probe }, name, ttl) => {
      const options = { ttl, fair: true };
      const permit = await a.semaphore(name, 1, options).acquire();
      const waiting = b.semaphore(name, 1, options).acquire({ timeout: WAIT_MS });
      await probe.announced(({ key }) => key.startsWith(`sem.${name}.ticket.`));
      await permit.release();
      await (await waiting).release();
    },
  },
  'a wish for a slot that another process keeps': {
    kind: 'mutex',
    remove: async ({ a, b, probe }, name, ttl) => {
      const permit = await a.mutex(name, { ttl, retain: 60_000 }).acquire();
      const waiting = b.mutex(name, { ttl }).acquire({ timeout: WAIT_MS });
      await probe.announced(({ key }) => key.startsWith(`mutex.${name}.wish.`));
      await permit.release();
      await (await waiting).release();
    },
  },
  'a kept slot that was given back': {
    kind: 'mutex',
    remove: async ({ a }, name, ttl) => {
      const mutex = a.mutex(name, { ttl, retain: 300 });
      // It has to listen before it can keep anything.
      await eventually(async () => {
        const permit = await mutex.acquire();
        await permit.release();
        if (useOf(permit.fencingToken) === 0) throw new Error(`${name} was not kept`);
      });
    },
  },
  'a claim that was withdrawn': {
    kind: 'mutex',
    remove: (world, name, ttl) => withdraw(world, name, 1, ttl),
  },
  'a claim of several slots that was withdrawn': {
    kind: 'sem',
    remove: (world, name, ttl) => withdraw(world, name, 2, ttl),
  },
  'a release by force': {
    kind: 'sem',
    remove: async ({ a, b }, name, ttl) => {
      const permit = await a.semaphore(name, SLOTS, { ttl }).acquire({ count: 2 });
      if (!(await b.semaphore(name, SLOTS, { ttl }).forceRelease(permit.id)))
        throw new Error(`${name} was not released by force`);
    },
  },
  'a permit renewed for a shorter time, and released': {
    kind: 'mutex',
    remove: async ({ a }, name, ttl) => {
      const permit = await a.mutex(name, { ttl }).acquire();
      await permit.renew(2_000);
      await permit.release();
    },
  },
  'a hold that was swept away': {
    kind: 'mutex',
    remove: async (world, name, ttl) => {
      await leaveBehind(world, `mutex.${name}.slot.0`, { permit: 'old', ttl: OVERDUE_MS }, ttl);
      await (await world.a.mutex(name, { ttl }).acquire({ timeout: WAIT_MS })).release();
    },
  },
  'a hold without a TTL that was swept away': {
    kind: 'mutex',
    remove: async (world, name, ttl) => {
      await leaveBehind(world, `mutex.${name}.slot.0`, { permit: 'old', ttl: OVERDUE_MS });
      await (await world.a.mutex(name, { ttl }).acquire({ timeout: WAIT_MS })).release();
    },
  },
  'a ticket that was swept away': {
    kind: 'sem',
    fair: true,
    remove: async (world, name, ttl) => {
      await leaveBehind(world, `sem.${name}.ticket.old`, { count: 1, ttl: OVERDUE_MS }, ttl);
      await (
        await world.a.semaphore(name, SLOTS, { ttl, fair: true }).acquire({ timeout: WAIT_MS })
      ).release();
    },
  },
  'what a dispatcher held when it was closed': {
    kind: 'sem',
    remove: async (world, name, ttl) => {
      const own = await world.connect();
      await own.semaphore(name, SLOTS, { ttl }).acquire({ count: 2 });
      await own.semaphore(name, SLOTS, { ttl }).acquire();
      await own.close();
    },
  },
};

/** The answers of a claim are lost, its caller gives up, and the claim is taken back when the link is there again. */
async function withdraw(world: RemovalWorld, name: string, count: number, ttl: number): Promise<void> {
  const { a, probe, servers } = world;
  if (count > 1) await a.semaphore(name, SLOTS).trySetPermits(SLOTS);
  const link = await ClientLink.open([Number(new URL(servers[0] as string).port)], probe.bucket);
  try {
    await using own = await world.connect(link.urls);
    await own.ready();
    link.dropAnswers();
    const caller = new AbortController();
    const { signal } = caller;
    const asked =
      count === 1
        ? own.mutex(name, { ttl }).acquire({ signal })
        : own.semaphore(name, SLOTS, { ttl }).acquire({ count, signal });
    const gaveUp = asked.then(
      () => false,
      (error: unknown) => error === signal.reason,
    );
    await probe.announced(({ key, permit }) => key.includes(`.${name}.slot.`) && permit !== undefined);
    caller.abort(new Error('not wanted any more'));
    if (!(await gaveUp)) throw new Error(`${name} was granted without an answer`);
    link.mend();
  } finally {
    await link.close();
  }
}

/** Writes what a client that is gone has left: for longer than it says, or for ever. */
async function leaveBehind(
  { probe }: RemovalWorld,
  key: string,
  fields: object,
  ttl?: number,
): Promise<void> {
  const sent = headers();
  if (ttl !== undefined) sent.set('Nats-TTL', `${ttl / 1_000}s`);
  const value = { v: 1, holder: 'gone', since: new Date().toISOString(), ...fields };
  await probe.connection.request(`$KV.${probe.bucket}.${key}`, JSON.stringify(value), {
    headers: sent,
    timeout: WAIT_MS,
  });
}

/** Of a latch, whose keys have no TTL: the shares of a round that is over. */
const LATCH = 'laps';

interface Done {
  readonly title: string;
  readonly name: string;
  readonly removal: Removal;
}

/** All that was removed, in all ways at once, with one of each for every ttl. */
export class Removals {
  private constructor(private readonly done: readonly Done[]) {}

  static async make(world: RemovalWorld, ttls: readonly number[]): Promise<Removals> {
    const done = Object.entries(REMOVALS).flatMap(([title, removal], i) =>
      ttls.map((ttl) => ({ title: `${title}, ttl ${ttl / 1_000} s`, name: `n${i}-${ttl}`, ttl, removal })),
    );
    await Promise.all([
      countTwice(world),
      ...done.map(async ({ title, name, ttl, removal }) => {
        try {
          await removal.remove(world, name, ttl);
        } catch (error) {
          throw new Error(`while removing ${title}`, { cause: error });
        }
      }),
    ]);
    const removals = new Removals(done);
    // What was given up is taken back in the background.
    await eventually(async () => {
      const left = await removals.left(world.probe);
      if (left.length > 0) throw new Error(`not removed: ${left.join('; ')}`);
    });
    return removals;
  }

  /** What has a value and should have none, in words. */
  async left(probe: BucketProbe): Promise<string[]> {
    const keys = await probe.liveKeys();
    return keys
      .filter((key) => !key.endsWith('.limit') && key !== `latch.${LATCH}.count`)
      .map((key) => `${this.titleOf(key)}: ${key}`)
      .sort();
  }

  /** Which ways of removing these keys were made in, without their ttl. */
  waysOf(left: readonly string[]): string[] {
    return [...new Set(left.map((text) => text.replace(/, ttl .*$|: .*$/, '')))].sort();
  }

  /** What is held or waited for by the account of a client, and what it can not have at once. */
  async taken(client: NatsDispatcher): Promise<string[]> {
    await client.ready();
    const busy = (await client.list())
      .filter(({ kind, held, waiting }) => kind !== 'latch' && held + waiting > 0)
      .map(({ name, held, waiting }) => `${name}: ${held} held, ${waiting} waiting`);
    const refused = await Promise.all(
      this.done.map(async ({ title, name, removal: { kind, fair } }) =>
        (await takeAll(client, kind, name, fair)) ? [] : [`${title}: not to be had`],
      ),
    );
    return [...busy, ...refused.flat()];
  }

  private titleOf(key: string): string {
    const [kind, name] = key.split('.');
    if (kind === 'latch') return 'shares of a latch';
    return this.done.find((each) => each.name === name)?.title ?? 'something else';
  }
}

/** Every way in which something is removed. */
export const WAYS: readonly string[] = [...Object.keys(REMOVALS), 'shares of a latch'].sort();

async function takeAll(
  client: NatsDispatcher,
  kind: Removal['kind'],
  name: string,
  fair?: boolean,
): Promise<boolean> {
  if (kind === 'mutex') return giveBack(await client.mutex(name).tryAcquire());
  if (kind === 'rw') return giveBack(await client.readWriteLock(name).write.tryAcquire());
  const semaphore = client.semaphore(name, SLOTS, { fair, limitPolicy: 'adopt' });
  return giveBack(await semaphore.tryAcquire({ count: (await semaphore.status()).slots }));
}

async function giveBack(permit: { release(): Promise<boolean> } | null): Promise<boolean> {
  await permit?.release();
  return permit !== null;
}

async function countTwice({ a, b }: RemovalWorld): Promise<void> {
  for (let round = 0; round < 2; round++) {
    await a.latch(LATCH, 2).trySetCount(2);
    await a.latch(LATCH, 2).countDown();
    await b.latch(LATCH, 2).countDown();
  }
  // A round that is over goes when the next begins.
  await a.latch(LATCH, 2).trySetCount(2);
}
