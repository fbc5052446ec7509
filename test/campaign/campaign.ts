import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BucketProbe } from '../support/bucket-probe';
import { monotonicMs } from '../support/monotonic';
import { randomFrom, within } from '../support/random';
import { Arena } from './arena';
import { type Verdict, check } from './checker/check';
import { Bag, CLIENT_FAULTS, commonFaults, inflict } from './faults';
import { files, readHistory } from './history';
import { CLIENTS, LOAD, type Range, isSteady } from './load';
import { Recorder } from './recorder';
import { Topology, type TopologyName } from './topology';
import { writeServerConfig } from './worker-rights';

export interface CampaignOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly topology: TopologyName;
  /** Where the history goes; must not exist. */
  readonly folder: string;
  /** Sources of the library that clients use. Default: this repository's. */
  readonly library?: string;
  /** Ends as soon as the checker finds a violation. */
  readonly untilViolation?: boolean;
  /** Whether the hostile client takes part. Default: it does. */
  readonly hostile?: boolean;
  readonly say?: (line: string) => void;
}

const BUCKET = 'CAMPAIGN';
/** In which the clients get to work: on a busy machine eight processes take their time to start. */
const START_MS = 60_000;
const STORM_MS = 28_000;
/** Longer than any bound that the checker holds clients to. */
const CALM_MS = 16_000;
const CHECK_EVERY_MS = 8_000;
/** Between two faults of one client; several clients have theirs at once. */
const CLIENT_GAP: Range = [100, 900];
const CLIENT_FAULTS_AT_ONCE = 2;
const SERVER_GAP: Range = [500, 2_500];

/** Runs clients and faults for a while, and judges what came of it. */
export async function runCampaign(options: CampaignOptions): Promise<Verdict> {
  const { seconds, seed, folder, hostile = true, say = () => undefined } = options;
  const library = options.library ?? join(__dirname, '..', '..', 'src');
  mkdirSync(folder, { recursive: true });
  const config = writeServerConfig(options.topology, BUCKET, folder);
  await using topology = await Topology.start(options.topology, config);
  const startedAt = monotonicMs();
  const jobs = hostile ? LOAD : LOAD.map(({ attacked: _, ...job }) => job);
  const facts = { seed, topology: topology.name, bucket: BUCKET, clients: CLIENTS, jobs, startedAt };
  await using recorder = await Recorder.start(
    topology.servers.map(({ url }) => url),
    BUCKET,
    files.stream(folder),
    files.readings(folder),
  );
  await using arena = await Arena.open(topology, recorder, facts, folder, library);
  const weather = new Weather(arena, seed);
  let suspected = false;
  const found = async (): Promise<boolean> => {
    if (options.untilViolation !== true) return false;
    const until = monotonicMs() - 1_000;
    const before = suspected;
    suspected = check(readHistory(folder, until)).violations.length > 0;
    // Once may be due to where the history was cut.
    return before && suspected;
  };
  let stopped = false;
  await working(arena, recorder);
  if (hostile) arena.startHostile();
  const end = monotonicMs() + seconds * 1_000;
  while (!stopped && monotonicMs() < end) {
    const left = end - monotonicMs() - CALM_MS;
    const storm = weather.storm(Math.max(5_000, Math.min(STORM_MS, left)));
    stopped = await whileChecking(storm, found);
    await storm;
    arena.write({ t: 'calm', at: monotonicMs() });
    say(`${Math.round((monotonicMs() - startedAt) / 1_000)} s: calm, ${recorder.revisions} revisions so far`);
    await recorder.fill();
    if (stopped) break;
    stopped = await whileChecking(sleep(CALM_MS), found);
    await recorder.fill();
    if (stopped || monotonicMs() >= end - CALM_MS) break;
    arena.write({ t: 'storm', at: monotonicMs() });
  }
  await arena.finish();
  await recorder.fill();
  // Cut short, it ends while holds of processes just killed still have to run out.
  if (!stopped) await writeWhatIsLeft(arena);
  const verdict = check(readHistory(folder));
  writeFileSync(files.report(folder), JSON.stringify(verdict, null, 2));
  return verdict;
}

/** Waits until every client has been granted something. */
async function working(arena: Arena, recorder: Recorder): Promise<void> {
  const end = monotonicMs() + START_MS;
  while (recorder.revisions < 20 * arena.participants.length) {
    if (monotonicMs() > end)
      throw new Error(`the clients do not work: ${arena.participants.map((p) => p.process.stderr).join('')}`);
    await sleep(50);
  }
}

async function whileChecking(task: Promise<unknown>, found: () => Promise<boolean>): Promise<boolean> {
  let over = false;
  const done = task.finally(() => (over = true));
  done.catch(() => undefined);
  while (!over) {
    const abort = new AbortController();
    await Promise.race([
      done,
      sleep(CHECK_EVERY_MS, undefined, { signal: abort.signal }).catch(() => undefined),
    ]);
    abort.abort();
    if (await found()) {
      return true;
    }
  }
  return false;
}

/** When what goes wrong. */
class Weather {
  private readonly random: () => number;
  private readonly forClients: Bag<Arena['participants'][number]>;
  private readonly common: Bag<undefined>;

  constructor(
    private readonly arena: Arena,
    seed: number,
  ) {
    this.random = randomFrom(seed);
    this.forClients = new Bag(CLIENT_FAULTS, this.random);
    this.common = new Bag(commonFaults(arena.topology.name), this.random);
  }

  /** Faults for `ms`; resolves when the last of them is over. */
  async storm(ms: number): Promise<void> {
    const end = monotonicMs() + ms;
    const sequences = Array.from({ length: CLIENT_FAULTS_AT_ONCE }, () => this.troubleClients(end));
    await Promise.all([...sequences, this.troubleAll(end)]);
  }

  private async troubleClients(end: number): Promise<void> {
    while (monotonicMs() < end) {
      const fault = this.forClients.next();
      const idle = this.arena.participants.filter(
        ({ busy, number }) => !busy && !(fault.deadly === true && isSteady(number)),
      );
      const target = idle[within(this.random, 0, idle.length - 1)];
      if (target !== undefined) {
        target.busy = true;
        await inflict(this.arena, fault, target, target.id, this.random);
        target.busy = false;
      }
      await sleep(within(this.random, ...CLIENT_GAP));
    }
  }

  private async troubleAll(end: number): Promise<void> {
    await sleep(within(this.random, ...SERVER_GAP));
    while (monotonicMs() < end) {
      const fault = this.common.next();
      const target = fault.kind.startsWith('every') ? 'all links' : 'server';
      await inflict(this.arena, fault, undefined, target, this.random);
      if (fault.ms[1] > 0) await sleep(within(this.random, ...SERVER_GAP));
    }
  }
}

async function writeWhatIsLeft(arena: Arena): Promise<void> {
  const server = await arena.topology.leaderOf(arena.stream);
  if (server === undefined) throw new Error('the bucket has no leader at the end');
  await using probe = await BucketProbe.open(server.url, BUCKET);
  const keys = await probe.liveKeys();
  const { state } = await probe.manager.streams.info(probe.stream);
  arena.write({ t: 'left', at: monotonicMs(), keys, consumers: state.consumer_count });
}
