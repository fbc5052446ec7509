/**
 * A process that measures. It does what it is told over IPC and ends when the parent does. Times are of CLOCK_MONOTONIC,
 * so that the parent can compare them with its own.
 */
import { connect } from '@nats-io/transport-node';
import { type Client, type Contender, type Release, type Spec, open } from './contender';
import { ownCpuMs } from './cpu';
import { RawSlot } from './floor';
import { monotonicMs, pause } from './measure';

/** What a worker answers to a call. */
export interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** What some waiters of one process saw. */
export interface Share {
  /** First acquire called, last release acknowledged. */
  readonly start: number;
  readonly end: number;
  /** From acquire called to acquire resolved, of each waiter, in ms. */
  readonly waits: readonly number[];
  /** How long the work really took, in ms. */
  readonly works: readonly number[];
}

const clients = new Map<string, Client>();
const held = new Map<string, Release[]>();
let churn:
  { readonly run: { stopped: boolean; granted: number }; readonly ended: Promise<unknown> } | undefined;
let waiting: Promise<unknown> = Promise.resolve();
const raw = new Map<string, { readonly next: Promise<void> }>();

async function client(contender: Contender): Promise<Client> {
  const key = JSON.stringify(contender);
  const known = clients.get(key) ?? (await open(contender));
  clients.set(key, known);
  return known;
}

/** What a worker can be told. */
const ops = {
  cpuMs: ownCpuMs,

  /** Bytes in use on the heap after a full collection. */
  async heap(): Promise<number> {
    for (let i = 0; i < 3; i++) {
      await pause(50);
      global.gc?.();
    }
    return process.memoryUsage().heapUsed;
  },

  async connect(contender: Contender): Promise<void> {
    await client(contender);
  },

  /** Acquires and keeps. Returns when it had it. */
  async acquire(contender: Contender, spec: Spec): Promise<number> {
    const release = await (await client(contender)).lock(spec).acquire();
    const at = monotonicMs();
    held.set(spec.name, [...(held.get(spec.name) ?? []), release]);
    return at;
  },

  async release(name: string): Promise<void> {
    const releases = held.get(name) ?? [];
    held.delete(name);
    await Promise.all(releases.map((release) => release()));
  },

  /** Listens for the raw release marker of a slot, to claim upon it. */
  async rawListen(url: string, bucket: string, name: string): Promise<void> {
    const slot = await rawSlot(url, bucket, name);
    raw.set(name, await slot.onRelease());
  },

  /** When the raw claim was acknowledged; then gives the slot back. */
  async rawClaimed(url: string, bucket: string, name: string): Promise<number> {
    await raw.get(name)?.next;
    const at = monotonicMs();
    await (await rawSlot(url, bucket, name)).release();
    return at;
  },

  /** A crowd that asks all at once, at a set time: each waits, works and releases once. */
  async crowd(
    contender: Contender,
    spec: Spec,
    waiters: number,
    workMs: number,
    startAt: number,
  ): Promise<Share> {
    const own = await client(contender);
    const handles = Array.from({ length: waiters }, () => own.lock(spec));
    await pause(Math.max(0, startAt - monotonicMs()));
    const waits: number[] = [];
    const works: number[] = [];
    const start = monotonicMs();
    await Promise.all(
      handles.map(async (handle) => {
        const release = await handle.acquire();
        const granted = monotonicMs();
        waits.push(granted - start);
        await pause(workMs);
        works.push(monotonicMs() - granted);
        await release();
      }),
    );
    return { start, end: monotonicMs(), waits, works };
  },

  /** As many raw slots, each going through claim, work, release, heard: what the server and the client can do at best. */
  async rawCrowd(url: string, bucket: string, slots: number, laps: number, workMs: number): Promise<Share> {
    const waits: number[] = [];
    const works: number[] = [];
    const all = await Promise.all(
      Array.from({ length: slots }, (_, index) => rawSlot(url, bucket, `crowd-${index}`)),
    );
    const start = monotonicMs();
    await Promise.all(
      all.map(async (slot) => {
        await slot.claim();
        for (let lap = 1; ; lap++) {
          const granted = monotonicMs();
          waits.push(granted - start);
          await pause(workMs);
          works.push(monotonicMs() - granted);
          if (lap === laps) return slot.release();
          const { next } = await slot.onRelease();
          await slot.release();
          await next;
        }
      }),
    );
    return { start, end: monotonicMs(), waits, works };
  },

  /** A queue that stays as long: loops that acquire, work, release and ask again, until {@link churnStop}. */
  async churnStart(contender: Contender, spec: Spec, loops: number, workMs: number): Promise<void> {
    const own = await client(contender);
    const run = { stopped: false, granted: 0 };
    const handles = Array.from({ length: loops }, () => own.lock(spec));
    const ended = Promise.all(
      handles.map(async (handle) => {
        while (!run.stopped) {
          const release = await handle.acquire();
          run.granted++;
          if (!run.stopped) await pause(workMs);
          await release();
        }
      }),
    );
    churn = { run, ended };
  },

  /** How many were granted so far, and the CPU time used so far. */
  churnMark(): { granted: number; cpuMs: number } {
    return { granted: churn?.run.granted ?? 0, cpuMs: ownCpuMs() };
  },

  async churnStop(): Promise<void> {
    if (churn === undefined) return;
    churn.run.stopped = true;
    await churn.ended;
    churn = undefined;
  },

  /** Acquires and releases each of many names once; the handles are dropped. */
  async useOnce(contender: Contender, names: readonly string[]): Promise<void> {
    const own = await client(contender);
    for (const name of names) await (await own.lock({ name, slots: 1 }).acquire())();
  },

  /** Has one waiter on each name, and forgets about them: each releases as soon as it has it. */
  async waitOnEach(contender: Contender, names: readonly string[]): Promise<void> {
    const own = await client(contender);
    const release = (granted: Release): Promise<unknown> => granted();
    waiting = Promise.all(names.map((name) => own.lock({ name, slots: 1 }).acquire().then(release)));
  },

  async allServed(): Promise<void> {
    await waiting;
  },
};

export type Ops = typeof ops;

const slots = new Map<string, Promise<RawSlot>>();
const connections = new Map<string, ReturnType<typeof connect>>();

function rawSlot(url: string, bucket: string, name: string): Promise<RawSlot> {
  const connection = connections.get(url) ?? connect({ servers: url });
  connections.set(url, connection);
  const slot = slots.get(name) ?? connection.then((own) => new RawSlot(own, bucket, name));
  slots.set(name, slot);
  return slot;
}

process.on('message', ({ id, op, args }: { id: number; op: string; args: unknown[] }) => {
  const run = (ops as unknown as Record<string, (...args: unknown[]) => unknown>)[op]!;
  void Promise.resolve()
    .then(() => run(...args))
    .then(
      (result): Answer => ({ id, result }),
      (error: unknown): Answer => ({
        id,
        error: error instanceof Error ? (error.stack ?? '') : String(error),
      }),
    )
    .then((answer) => process.send?.(answer));
});
process.once('disconnect', () => {
  const closing = [...clients.values()].map((own) => own.close());
  for (const connection of connections.values()) closing.push(connection.then((own) => own.close()));
  void Promise.allSettled(closing).then(() => process.exit());
});
