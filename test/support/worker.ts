/**
 * A process with a dispatcher of its own, told what to do by lines of JSON on stdin. It answers on stdout, where it also
 * logs at once who is in which slot: what was written is not lost when the process is killed.
 */
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connect3 } from '@nats-io/transport-node';
import { connect as connect2 } from 'nats';
import {
  type AcquireOptions,
  type DispatcherOptions,
  type LimitPolicy,
  NatsDispatcher,
  type NatsConnection,
  type Permit,
  type PrimitiveSummary,
  type Semaphore,
  type SemaphoreStatus,
} from '../../src';
import { monotonicMs } from './monotonic';
import type { Step } from './occupancy';
import type { ReadWriteStep } from './read-write-log';
import { type Churn, type ChurnResult, churn } from './worker-churn';
import { type ReadWriteChurn, readWriteChurn } from './worker-read-write';

/** What a worker is started with. */
export interface WorkerSetup {
  readonly url: string;
  /** Which client makes the connection: the dispatcher itself, or the worker with `nats` 2.x or transport-node 3.x. */
  readonly client?: 'own' | '2.x' | '3.x';
  readonly options?: DispatcherOptions;
}

/** Which semaphore, and how to ask it. */
export interface Ask {
  readonly name: string;
  readonly slots?: number;
  readonly ttl?: number;
  readonly fair?: boolean;
  readonly limitPolicy?: LimitPolicy;
  readonly options?: Omit<AcquireOptions, 'signal'>;
  /** Ms after which the wait is ended by a signal. */
  readonly abortAfter?: number;
}

export interface Granted {
  readonly permit: string;
  readonly slots: readonly number[];
  readonly token: string;
  readonly remaining: number;
  /** When it was asked for and when it was there. */
  readonly askedAt: number;
  readonly at: number;
}

export interface PermitState {
  readonly permit: string;
  readonly name: string;
  readonly slot: number;
  readonly isHeld: boolean;
  readonly aborted: boolean;
  readonly code: string | undefined;
  readonly remaining: number;
  readonly at: number;
}

/** What a piece of work saw right after its process had stood still. */
export interface Observation {
  readonly source: 'immediate' | 'interval';
  readonly at: number;
  readonly gap: number;
  /** What the signal said that the work was given at the start, before anything else was looked at. */
  readonly signalBefore: boolean;
  readonly isHeld: boolean;
  readonly signalAfter: boolean;
}

/** A status as it looks after a journey through JSON. */
export type PlainStatus = Omit<SemaphoreStatus, 'holders' | 'waiters'> & {
  readonly holders: readonly {
    readonly permitId: string;
    readonly holder: string;
    readonly slots: readonly number[];
    readonly since: string;
    readonly expiresAt: string;
    readonly fencingToken: string;
    readonly metadata: Readonly<Record<string, string>>;
  }[];
  readonly waiters: readonly {
    readonly holder: string;
    readonly count: number;
    readonly since: string;
    readonly expiresAt: string;
    readonly metadata: Readonly<Record<string, string>>;
  }[];
};

/** What a worker says unasked. */
export type WorkerEvent =
  | Step
  | ReadWriteStep
  | { readonly type: 'status'; readonly name: string; readonly status: PlainStatus; readonly at: number }
  | { readonly type: 'ready'; readonly at: number }
  | {
      readonly type: 'lost';
      readonly permit: string;
      readonly name: string;
      readonly code: string;
      readonly reason: string;
      readonly at: number;
    }
  | {
      readonly type: 'woke';
      readonly permit: string;
      readonly seen: readonly Observation[];
      readonly at: number;
    }
  | { readonly type: 'fault'; readonly error: string };

interface Stay {
  readonly name: string;
  readonly permit: Permit;
  readonly places: readonly { readonly name: string; readonly slot: number }[];
  readonly signal: AbortSignal;
  inside: boolean;
}

const GAP_MS = 500;
const SEEN_AFTER_GAP = 20;

const stays = new Map<string, Stay>();
const unwatch = new Map<string, () => void>();
const watches = new Map<string, { iterator: AsyncIterator<SemaphoreStatus>; abort: AbortController }>();
let ending = false;
let dispatcher: NatsDispatcher;
let connection: NatsConnection | undefined;

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function semaphore({ name, slots, ttl, fair, limitPolicy }: Ask): Semaphore {
  return dispatcher.semaphore(name, slots, { ttl, fair, limitPolicy });
}

function plain(status: SemaphoreStatus): PlainStatus {
  return {
    ...status,
    holders: status.holders.map((holder) => ({
      ...holder,
      since: holder.since.toISOString(),
      expiresAt: holder.expiresAt.toISOString(),
      fencingToken: String(holder.fencingToken),
    })),
    waiters: status.waiters.map((waiter) => ({
      ...waiter,
      since: waiter.since.toISOString(),
      expiresAt: waiter.expiresAt.toISOString(),
    })),
  };
}

/** @param names of the semaphore of each slot, where the permit is for several */
function enter(name: string, permit: Permit, askedAt: number, names?: readonly string[]): Granted {
  const at = monotonicMs();
  const places = permit.slots.map((slot, i) => ({ name: names?.[i] ?? name, slot }));
  const { signal } = permit;
  // Stopped just then, the process may find that it is over already: then nobody ever believed in it.
  const stay: Stay = { name, permit, places, signal, inside: !signal.aborted };
  stays.set(permit.id, stay);
  if (stay.inside) log('enter', stay, at);
  const lost = (): void => {
    const lostAt = monotonicMs();
    leave(stay, lostAt);
    const error: unknown = stay.signal.reason;
    const reason = error instanceof Error ? error.message : String(error);
    say({ type: 'lost', permit: permit.id, name, code: codeOf(error), reason, at: lostAt });
  };
  if (signal.aborted) lost();
  else signal.addEventListener('abort', lost);
  const { id, slots, fencingToken, remaining } = permit;
  return { permit: id, slots: [...slots], token: String(fencingToken), remaining, askedAt, at };
}

function leave(stay: Stay, at: number): void {
  if (!stay.inside) return;
  stay.inside = false;
  log('leave', stay, at);
}

function log(type: 'enter' | 'leave', { permit, places }: Stay, at: number): void {
  const token = String(permit.fencingToken);
  for (const { name, slot } of places) say({ type, name, slot, permit: permit.id, token, at } satisfies Step);
}

function stayOf(id: string): Stay {
  const stay = stays.get(id);
  if (stay === undefined) throw new Error(`no permit ${id} in this worker`);
  return stay;
}

function stateOf({ name, permit, places }: Stay): PermitState {
  const { isHeld, remaining, signal } = permit;
  const { aborted } = signal;
  const code = aborted ? codeOf(signal.reason) : undefined;
  return {
    permit: permit.id,
    name,
    slot: places[0]?.slot ?? -1,
    isHeld,
    aborted,
    code,
    remaining,
    at: monotonicMs(),
  };
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

const ops = {
  async ready(): Promise<void> {
    await dispatcher.ready();
  },

  async acquire(ask: Ask): Promise<Granted> {
    const askedAt = monotonicMs();
    const { name, options, abortAfter } = ask;
    if (abortAfter === undefined) return enter(name, await semaphore(ask).acquire(options), askedAt);
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(new Error('not needed any more')), abortAfter);
    try {
      return enter(name, await semaphore(ask).acquire({ ...options, signal: abort.signal }), askedAt);
    } finally {
      clearTimeout(timer);
    }
  },

  /** Closes the worker's connection as soon as the permit is there. */
  async acquireAndDisconnect(ask: Ask): Promise<Granted> {
    const granted = await ops.acquire(ask);
    await connection?.close();
    return granted;
  },

  async tryAcquire(ask: Ask): Promise<Granted | null> {
    const askedAt = monotonicMs();
    const permit = await semaphore(ask).tryAcquire(ask.options);
    return permit === null ? null : enter(ask.name, permit, askedAt);
  },

  async release({
    permit: id,
  }: {
    permit: string;
  }): Promise<{ released: boolean; startedAt: number; at: number }> {
    const stay = stayOf(id);
    const startedAt = monotonicMs();
    leave(stay, startedAt);
    const released = await stay.permit.release();
    return { released, startedAt, at: monotonicMs() };
  },

  async renew({ permit: id, ttl }: { permit: string; ttl?: number }): Promise<void> {
    await stayOf(id).permit.renew(ttl);
  },

  state({ permit: id }: { permit: string }): PermitState {
    return stateOf(stayOf(id));
  },

  /** The state of every permit that was ever granted here. */
  states(): PermitState[] {
    return [...stays.values()].map(stateOf);
  },

  async availablePermits(ask: Ask): Promise<number> {
    return semaphore(ask).availablePermits();
  },

  /** Slots of several semaphores in one permit. */
  async acquireAll({
    wants,
    options,
  }: {
    wants: (Ask & { count?: number })[];
    options?: Omit<AcquireOptions, 'signal' | 'count'>;
  }): Promise<Granted> {
    const askedAt = monotonicMs();
    const all = wants.map((want) => ({ semaphore: semaphore(want), count: want.count }));
    const permit = await dispatcher.acquireAll(all, options);
    const names = wants.flatMap(({ name, count = 1 }) => Array.from({ length: count }, () => name));
    return enter(names.join('+'), permit, askedAt, names);
  },

  async setPermits({ name, slots }: { name: string; slots: number }): Promise<void> {
    await dispatcher.semaphore(name).setPermits(slots);
  },

  async status(ask: Ask): Promise<PlainStatus> {
    return plain(await semaphore(ask).status());
  },

  async list(): Promise<PrimitiveSummary[]> {
    return dispatcher.list();
  },

  async forceRelease({ name, permit }: { name: string; permit: string }): Promise<{
    released: boolean;
    startedAt: number;
    at: number;
  }> {
    const startedAt = monotonicMs();
    const released = await dispatcher.semaphore(name).forceRelease(permit);
    return { released, startedAt, at: monotonicMs() };
  },

  /** Watches, and says every status. */
  watch(ask: Ask): void {
    const abort = new AbortController();
    const iterator = semaphore(ask).watch({ signal: abort.signal })[Symbol.asyncIterator]();
    watches.set(ask.name, { iterator, abort });
    void (async () => {
      for await (const status of { [Symbol.asyncIterator]: () => iterator })
        say({ type: 'status', name: ask.name, status: plain(status), at: monotonicMs() });
    })().catch(fault);
  },

  /** Watches, and takes a status only when it is told to. */
  watchSlowly(ask: Ask): void {
    const abort = new AbortController();
    const iterator = semaphore(ask).watch({ signal: abort.signal })[Symbol.asyncIterator]();
    watches.set(ask.name, { iterator, abort });
  },

  /** The next status; null at the end. */
  async nextStatus({ name }: Ask): Promise<PlainStatus | null> {
    const watched = watches.get(name);
    if (watched === undefined) throw new Error(`nobody watches ${name}`);
    const next = await watched.iterator.next();
    return next.done === true ? null : plain(next.value);
  },

  unwatch({ name }: Ask): void {
    watches.get(name)?.abort.abort();
    watches.delete(name);
  },

  /** Random acquisitions of every kind. */
  async churn(plan: Churn): Promise<ChurnResult> {
    return churn(dispatcher, plan, say);
  },

  /** Random reads and writes, one after another, until {@link ops.endLoops}. */
  async readWriteChurn(plan: ReadWriteChurn): Promise<number> {
    return readWriteChurn(dispatcher, plan, say, () => ending);
  },

  /** Loops that are under way end after the permit they hold. */
  endLoops(): void {
    ending = true;
  },

  /** `loops` at once, `total` acquisitions together, each `work` ms long. Also tells the longest time from asking to the end. */
  async loop(
    ask: Ask & { loops: number; total: number; work: number },
  ): Promise<{ done: number; lost: number; longest: number }> {
    const { name, loops, total, work, options } = ask;
    const shared = semaphore(ask);
    let left = total;
    let done = 0;
    let lost = 0;
    let longest = 0;
    const one = async (): Promise<void> => {
      while (!ending && left-- > 0) {
        const askedAt = monotonicMs();
        const permit = await shared.acquire(options);
        enter(name, permit, askedAt);
        await sleep(work);
        const stay = stayOf(permit.id);
        if (!stay.inside) lost++;
        leave(stay, monotonicMs());
        // One that a server which is away does not acknowledge in time goes on by itself.
        await permit[Symbol.asyncDispose]();
        stays.delete(permit.id);
        longest = Math.max(longest, monotonicMs() - askedAt);
        done++;
      }
    };
    await Promise.all(Array.from({ length: loops }, one));
    return { done, lost, longest };
  },

  /** Work that looks at its permit at every turn of the event loop, and tells what it saw after standing still. */
  watchClosely({ permit: id }: { permit: string }): void {
    const { permit, signal } = stayOf(id);
    let seen: Observation[] | undefined;
    let last = monotonicMs();
    const look = (source: Observation['source']): void => {
      // The time first: should the process be stopped between the two, what is seen is later than it says, not earlier.
      const at = monotonicMs();
      const signalBefore = signal.aborted;
      const { isHeld } = permit;
      const gap = at - last;
      last = at;
      if (gap >= GAP_MS) seen ??= [];
      if (seen === undefined) return;
      seen.push({ source, at, gap, signalBefore, isHeld, signalAfter: signal.aborted });
      if (seen.length < SEEN_AFTER_GAP) return;
      say({ type: 'woke', permit: id, seen, at });
      unwatch.get(id)?.();
    };
    const interval = setInterval(() => look('interval'), 1);
    let immediate: NodeJS.Immediate;
    const turn = (): void => {
      immediate = setImmediate(turn);
      look('immediate');
    };
    immediate = setImmediate(turn);
    unwatch.set(id, () => {
      clearInterval(interval);
      clearImmediate(immediate);
    });
  },

  diagnostics(): { safetyReads: number; safetyFinds: number } {
    const { safetyReads, safetyFinds } = dispatcher.diagnostics.feed;
    return { safetyReads, safetyFinds };
  },

  /** Kinds of what keeps the process busy now. */
  resources(): string[] {
    return process.getActiveResourcesInfo();
  },

  /** Closes the dispatcher; a connection that the worker made stays open. */
  async close(): Promise<string[]> {
    await dispatcher.close();
    return process.getActiveResourcesInfo();
  },

  /** Resolves when the server has dealt with everything that was sent. */
  async flush(): Promise<void> {
    for (let i = 0; i < 2; i++) await connection?.flush();
  },

  async disconnect(): Promise<void> {
    await connection?.close();
  },
};

export type Ops = typeof ops;

interface Request {
  readonly id: number;
  readonly op: keyof Ops;
  readonly args: never;
}

async function answer({ id, op, args }: Request): Promise<void> {
  try {
    const result: unknown = await ops[op](args);
    say({ id, result });
  } catch (error) {
    const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
    say({ id, error: { name, message, stack, code: codeOf(error), at: monotonicMs() } });
  }
}

function fault(error: unknown): never {
  say({ type: 'fault', error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  process.exit(70);
}

async function open({ url, client = 'own', options = {} }: WorkerSetup): Promise<NatsDispatcher> {
  if (client === 'own') return NatsDispatcher.connect({ servers: url, ...options });
  const settings = { servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 200 };
  connection = client === '2.x' ? await connect2(settings) : await connect3(settings);
  return new NatsDispatcher(connection, options);
}

async function main(): Promise<void> {
  process.on('unhandledRejection', fault);
  process.on('uncaughtException', fault);
  dispatcher = await open(JSON.parse(process.argv[2] ?? '{}') as WorkerSetup);
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => void answer(JSON.parse(line) as Request));
  // Whoever started us is gone, or wants us to go.
  lines.on('close', () => process.exit(0));
  say({ type: 'ready', at: monotonicMs() });
}

void main();
