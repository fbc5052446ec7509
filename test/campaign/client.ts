/**
 * A client process of the campaign: does its jobs until it is told to finish, and writes down what it believes, and from
 * when to when. Started by `client-process.ts`.
 */
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Permit } from '../../src/api/permit';
import type { NatsDispatcher } from '../../src/api/dispatcher';
import type { CountDownLatch } from '../../src/api/latch';
import type { Lock } from '../../src/api/lock';
import { monotonicMs } from '../support/monotonic';
import type { Place } from '../support/occupancy';
import { randomFrom, within } from '../support/random';
import { WRITER, readerPlace } from './checker/holds';
import { type ClientLine, LineFile } from './history';
import type { Job, Range } from './load';

export interface ClientSetup {
  readonly log: string;
  /** Folder of the library's sources. */
  readonly library: string;
  readonly servers: readonly string[];
  readonly bucket: string;
  readonly replicas: number;
  readonly holder: string;
  readonly seed: number;
  readonly jobs: readonly Job[];
  /** What it watches all the time. */
  readonly watched: readonly Pick<Job, 'name' | 'kind'>[];
}

/** What it is told on its standard input: to come to its end; to give back what it holds and ask for nothing; to ask again. */
export type Order = 'finish' | 'rest' | 'go on';

const LOOK_EVERY_MS = 50;
const COUNT_EVERY_MS = 1_000;
const CONNECT_AGAIN_MS = 200;
const LIST_EVERY_MS = 6_000;
/** After being told to finish: how long who still waits may go on waiting. */
const FINISH_MS = 15_000;
/** How often a client waits for a latch after it counted, and how long. */
const WAITS = 0.15;
const WAIT_MS = 20_000;

const setup = JSON.parse(process.argv[2] ?? '{}') as ClientSetup;
const file = new LineFile<ClientLine>(setup.log);
const permits = new Map<string, Permit>();
const resting = new Set<() => void>();
let finishing = false;
/** While nothing is to be asked for: resolves when that is over. */
let idle: { readonly over: Promise<void>; readonly end: () => void } | undefined;
let asks = 0;
let reads = 0;

const write = (line: ClientLine): void => file.add(line);

async function main(): Promise<void> {
  process.on('unhandledRejection', fault);
  process.on('uncaughtException', fault);
  const orders = createInterface({ input: process.stdin });
  let finish: (() => void) | undefined;
  const told = new Promise<void>((resolve) => (finish = resolve));
  orders.on('line', (order: Order) => {
    if (order === 'rest') startRest();
    else idle?.end();
    if (order === 'finish') finish?.();
  });
  // Whoever started us is gone.
  orders.on('close', () => {
    if (!finishing) process.exit(1);
  });
  const { NatsDispatcher: Dispatcher } = (await import(`${setup.library}/index.ts`)) as {
    NatsDispatcher: typeof NatsDispatcher;
  };
  const dispatcher = await open(Dispatcher);
  write({ t: 'up', at: monotonicMs(), pid: process.pid });
  const timers = [setInterval(look, LOOK_EVERY_MS), setInterval(() => note(dispatcher), COUNT_EVERY_MS)];
  const loops = Promise.all(
    setup.jobs.map((job, i) => {
      const random = randomFrom(setup.seed * 1_000 + i);
      return job.kind === 'latch'
        ? count(dispatcher.latch(job.name), job, random)
        : work(handlesOf(dispatcher, job, job.kind), job, random);
    }),
  );
  const readers = setup.watched.length === 0 ? undefined : read(dispatcher);
  await told;
  finishing = true;
  await readers?.end();
  for (const wake of [...resting]) wake();
  let patience: NodeJS.Timeout | undefined;
  await Promise.race([loops, new Promise((resolve) => (patience = setTimeout(resolve, FINISH_MS)))]);
  clearTimeout(patience);
  await dispatcher.close();
  await loops;
  for (const timer of timers) clearInterval(timer);
  note(dispatcher);
  write({ t: 'closed', at: monotonicMs() });
  // From here on nothing must keep the process alive.
  orders.close();
  process.stdin.destroy();
}

/** Reads what it is to watch, and the list of everything, until that is ended. */
function read(dispatcher: NatsDispatcher): { end(): Promise<void> } {
  const stop = new AbortController();
  const { signal } = stop;
  const ended = (name: string, error: unknown): void => {
    if (signal.aborted) return;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    write({ t: 'reader ended', at: monotonicMs(), name, error: text });
  };
  for (const event of ['degraded', 'connectionClosed'] as const)
    dispatcher.on(event, ({ cause }) => ended(event, cause));
  const watching = setup.watched.map(async ({ name, kind }) => {
    try {
      for await (const status of watchedOf(dispatcher, name, kind).watch({ signal })) if (status) reads++;
      ended(name, 'it came to its end');
    } catch (error) {
      ended(name, error);
    }
  });
  const listing = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        await dispatcher.list();
        reads++;
      } catch (error) {
        if (codeOf(error) !== 'BACKEND_UNAVAILABLE') ended('list', error);
      }
      await sleep(LIST_EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  };
  const all = Promise.all([...watching, listing()]);
  return {
    async end() {
      stop.abort();
      await all;
    },
  };
}

function watchedOf(
  dispatcher: NatsDispatcher,
  name: string,
  kind: Job['kind'],
): { watch(options: { signal: AbortSignal }): AsyncIterable<unknown> } {
  if (kind === 'semaphore') return dispatcher.semaphore(name);
  if (kind === 'mutex') return dispatcher.mutex(name);
  return kind === 'latch' ? dispatcher.latch(name) : dispatcher.readWriteLock(name);
}

async function open(Dispatcher: typeof NatsDispatcher): Promise<NatsDispatcher> {
  const { servers, bucket, replicas, holder } = setup;
  for (;;) {
    try {
      // Addresses that a cluster tells its clients would lead past the links that can be made to fail.
      const client = { servers: [...servers], ignoreClusterUpdates: true, timeout: 3_000 };
      return await Dispatcher.connect({ ...client, bucket, replicas, holder });
    } catch (error) {
      if (codeOf(error) !== 'BACKEND_UNAVAILABLE') throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, CONNECT_AGAIN_MS));
  }
}

/** What to acquire from, and which places a permit of it holds. */
interface Handle {
  readonly lock: Lock;
  readonly share: number;
  readonly placesOf: (permit: Permit) => readonly Place[];
}

function handlesOf(
  dispatcher: NatsDispatcher,
  { name, slots, ttl, fair, retain, writes = 0 }: Job,
  kind: Exclude<Job['kind'], 'latch'>,
): readonly Handle[] {
  const placesOf = (permit: Permit): readonly Place[] => permit.slots;
  if (kind === 'semaphore')
    return [{ lock: dispatcher.semaphore(name, slots, { ttl, fair, retain }), share: 1, placesOf }];
  if (kind === 'mutex') return [{ lock: dispatcher.mutex(name, { ttl, fair, retain }), share: 1, placesOf }];
  const { read, write } = dispatcher.readWriteLock(name, { ttl, fair });
  return [
    { lock: write, share: writes, placesOf: () => [WRITER] },
    { lock: read, share: 1, placesOf: ({ id }) => [readerPlace(id)] },
  ];
}

async function work(handles: readonly Handle[], job: Job, random: () => number): Promise<void> {
  await rest(random, [0, 300]);
  while (!finishing) {
    await idle?.over;
    const count = job.counts[within(random, 0, job.counts.length - 1)] ?? 1;
    const lot = handles.length > 1 ? random() : 0;
    const permit = await ask(handles.find(({ share }) => lot < share) as Handle, job, count);
    await rest(random, permit === undefined ? [50, 150] : job.hold, permit?.signal);
    if (permit !== undefined) await giveBack(permit);
    await rest(random, job.pause);
  }
}

async function ask({ lock, placesOf }: Handle, job: Job, count: number): Promise<Permit | undefined> {
  const { name, timeout } = job;
  const id = ++asks;
  write({ t: 'ask', at: monotonicMs(), ask: id, name, count, timeout });
  try {
    const permit = await lock.acquire({ timeout, ...(count === 1 ? {} : { count }) });
    // The time before the lease: if the process is stopped between the two, too little is believed, not too much.
    const at = monotonicMs();
    const { id: permitId, fencingToken, remaining } = permit;
    const slots = placesOf(permit);
    permits.set(permitId, permit);
    write({ t: 'grant', at, ask: id, permit: permitId, name, slots, token: String(fencingToken), remaining });
    const { signal } = permit;
    if (signal.aborted) lost(permitId, signal.reason);
    else signal.addEventListener('abort', () => lost(permitId, signal.reason), { once: true });
    return permit;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    write({ t: 'refused', at: monotonicMs(), ask: id, code: codeOf(error), message });
    return undefined;
  }
}

/** Counts rounds of a latch down, together with all the others, and waits for its end now and then. */
async function count(
  latch: CountDownLatch,
  { name, slots, pause }: Job,
  random: () => number,
): Promise<void> {
  try {
    await latch.trySetCount(slots);
    while (!finishing) {
      await idle?.over;
      write({ t: 'count', at: monotonicMs(), name });
      const left = await latch.countDown();
      write({ t: 'counted', at: monotonicMs(), name, left });
      if (left === 0) await latch.trySetCount(slots);
      else if (random() < WAITS) await waitFor(latch);
      await rest(random, pause);
    }
  } catch (error) {
    if (!finishing || codeOf(error) !== 'DISPATCHER_CLOSED') fault(error);
  }
}

async function waitFor(latch: CountDownLatch): Promise<void> {
  const { name } = latch;
  const since = monotonicMs();
  write({ t: 'wait', at: since, name });
  try {
    await latch.wait({ timeout: WAIT_MS });
    write({ t: 'open', at: monotonicMs(), name, since });
  } catch (error) {
    if (!['ACQUIRE_TIMEOUT', 'BACKEND_UNAVAILABLE'].includes(codeOf(error))) throw error;
  }
}

function lost(permit: string, reason: unknown): void {
  if (!permits.delete(permit)) return;
  const text = reason instanceof Error ? reason.message : String(reason);
  write({ t: 'lost', at: monotonicMs(), permit, reason: text });
}

async function giveBack(permit: Permit): Promise<void> {
  const { id } = permit;
  // A look that finds the lease over says so before anything else is said.
  if (!permit.isHeld || !permits.delete(id)) return;
  write({ t: 'release', at: monotonicMs(), permit: id });
  let code = 'ok';
  try {
    if (!(await permit.release())) code = 'not held';
  } catch (error) {
    code = codeOf(error);
  }
  write({ t: 'released', at: monotonicMs(), permit: id, code });
}

function look(): void {
  const at = monotonicMs();
  const held: [string, number][] = [];
  for (const [id, permit] of [...permits]) if (permit.isHeld) held.push([id, permit.remaining]);
  if (held.length > 0) write({ t: 'held', at, permits: held });
}

function note({ diagnostics }: NatsDispatcher): void {
  const { feed, writes } = diagnostics;
  write({ t: 'counts', at: monotonicMs(), ...writes, ...feed, reads });
}

function startRest(): void {
  let wake = (): void => undefined;
  const over = new Promise<void>((resolve) => (wake = resolve));
  const end = (): void => {
    idle = undefined;
    wake();
  };
  idle ??= { over, end };
  for (const cut of [...resting]) cut();
}

function rest(random: () => number, [least, most]: Range, signal?: AbortSignal): Promise<void> {
  const ms = within(random, least, most);
  if (finishing || idle !== undefined) return Promise.resolve();
  return new Promise((resolve) => {
    const wake = (): void => {
      clearTimeout(timer);
      resting.delete(wake);
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    resting.add(wake);
    signal?.addEventListener('abort', wake, { once: true });
  });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

function fault(error: unknown): never {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  write({ t: 'fault', at: monotonicMs(), error: text });
  console.error(text);
  process.exit(70);
}

void main();
