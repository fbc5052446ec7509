import { mkdirSync, writeFileSync } from 'node:fs';
import { monotonicMs } from '../support/monotonic';
import { type CampaignFacts, type FaultLine, LineFile, files } from './history';
import { ClientLink } from '../support/client-link';
import type { ClientSetup } from './client';
import { ClientProcess } from './client-process';
import type { HostileSetup } from './hostile/hostile';
import { watchedBy } from './load';
import type { Recorder } from './recorder';
import type { Topology } from './topology';

/** How long a client that was told to finish may take: it waits a while for who still waits, and then closes. */
const FINISH_MS = 30_000;

/** What is added to the seeds of clients: no client has this one. */
const HOSTILE_SEED = 9_900;

/** One client: its link stays, its process may be killed and started again. */
export interface Participant {
  readonly id: string;
  readonly number: number;
  readonly link: ClientLink;
  process: ClientProcess;
  /** A fault of its own is under way. */
  busy: boolean;
}

/** Where a campaign takes place: servers, clients, and the links between them. Everything done to them is written down. */
export class Arena implements AsyncDisposable {
  readonly participants: Participant[] = [];
  private readonly file: LineFile<FaultLine>;
  private faults = 0;
  private resting = false;
  private hostile: ClientProcess | undefined;

  private constructor(
    readonly topology: Topology,
    readonly recorder: Recorder,
    readonly facts: CampaignFacts,
    private readonly folder: string,
    private readonly library: string,
  ) {
    mkdirSync(files.clients(folder), { recursive: true });
    writeFileSync(files.facts(folder), JSON.stringify(facts, null, 2));
    this.file = new LineFile(files.faults(folder));
  }

  static async open(
    topology: Topology,
    recorder: Recorder,
    facts: CampaignFacts,
    folder: string,
    library: string,
  ): Promise<Arena> {
    const arena = new Arena(topology, recorder, facts, folder, library);
    const ports = topology.servers.map(({ port }) => port);
    for (let number = 0; number < facts.clients; number++) {
      const link = await ClientLink.open(ports, facts.bucket);
      const id = `c${number}`;
      arena.participants.push({
        id,
        number,
        link,
        process: arena.launch(id, number, 1, link),
        busy: false,
      });
    }
    return arena;
  }

  get stream(): string {
    return `KV_${this.facts.bucket}`;
  }

  write(line: FaultLine): void {
    this.file.add(line);
  }

  /** Writes down that a fault begins; the result, that it has ended. */
  begin(kind: string, target: string, detail: string): () => void {
    const fault = ++this.faults;
    this.write({ t: 'begin', at: monotonicMs(), fault, kind, target, detail });
    return () => this.write({ t: 'end', at: monotonicMs(), fault });
  }

  async kill({ id, process }: Pick<Participant, 'id' | 'process'>): Promise<void> {
    process.expected = true;
    this.write({ t: 'kill', at: monotonicMs(), client: id, run: process.run });
    process.signal('SIGKILL');
    await process.exited;
  }

  /** Lets the hostile client begin. It reaches the servers past the links that fail, and is never killed. */
  startHostile(): void {
    const { bucket, seed } = this.facts;
    const setup: HostileSetup = {
      log: files.hostile(this.folder),
      servers: this.topology.servers.map(({ url }) => url),
      bucket,
      seed: seed * 10_000 + HOSTILE_SEED,
    };
    this.hostile = this.attended(new ClientProcess('hostile', 1, 'hostile/hostile.ts', setup));
  }

  startAgain(participant: Participant): void {
    const { id, number, link, process } = participant;
    participant.process = this.launch(id, number, process.run + 1, link);
  }

  /** Tells all clients to give back what they hold and to ask for nothing, or to go on. Those of them that are stopped hear of it later. */
  rest(resting: boolean): void {
    this.resting = resting;
    for (const process of this.processes) process.rest(resting);
  }

  /** Tells all clients to come to their end, and waits for it. */
  async finish(): Promise<void> {
    this.write({ t: 'finish', at: monotonicMs() });
    for (const process of this.processes) {
      process.expected = true;
      process.finish();
    }
    await Promise.all(
      this.processes.map(async (process) => {
        if (await process.endsWithin(FINISH_MS)) return;
        this.write({ t: 'hung', at: monotonicMs(), client: process.client, run: process.run });
        await this.kill({ id: process.client, process });
      }),
    );
  }

  private get processes(): ClientProcess[] {
    return [
      ...this.participants.map(({ process }) => process),
      ...(this.hostile === undefined ? [] : [this.hostile]),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.processes) {
      process.expected = true;
      process.signal('SIGKILL');
      await process.exited;
    }
    for (const { link } of this.participants) await link.close();
  }

  private launch(client: string, number: number, run: number, link: ClientLink): ClientProcess {
    const { bucket, jobs, seed } = this.facts;
    const setup: ClientSetup = {
      log: files.client(this.folder, client, run),
      library: this.library,
      servers: link.urls,
      bucket,
      replicas: this.topology.replicas,
      holder: `${client}.${run}`,
      seed: seed * 10_000 + number * 100 + run,
      jobs: jobs.filter(({ clients }) => clients === undefined || clients.includes(number)),
      watched: watchedBy(number),
    };
    return this.attended(new ClientProcess(client, run, 'client.ts', setup));
  }

  /** Writes down how a process ends. */
  private attended(launched: ClientProcess): ClientProcess {
    if (this.resting) launched.rest(true);
    void launched.exited.then(({ code, signal }) => {
      const { client, run, expected, stderr } = launched;
      this.write({ t: 'exit', at: monotonicMs(), client, run, code, signal, expected, stderr });
    });
    return launched;
  }
}
