import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { checkKeys, optionKeys } from '../api/option-keys';
import { freePorts } from './free-ports';
import { httpJson } from './http-json';
import { packageFile } from '../runtime/package-root';
import { reaper } from './reaper';
import { serverBinary } from './server-binary';
import { PortTakenError, ServerProcess } from './server-process';

const START_TIMEOUT = 30_000;
const MONITOR_TIMEOUT = 5_000;
const PORT_ATTEMPTS = 5;
const PORT_RETRY = 100;

/** What a throwaway server is started with. Everything has a default. */
export interface ServerOptions {
  /** Port for clients, on 127.0.0.1. Default: a free one. */
  port?: number;
  /** Where streams are kept. A directory given here is created if absent and never removed. Default: a fresh one. */
  storeDir?: string;
  /** `false` starts a server without JetStream. A {@link config} of your own decides this for itself. Default `true`. */
  jetstream?: boolean;
  /** Path of the nats-server to run. Default: what `scripts/nats-server path` finds or fetches. */
  binary?: string;
  /**
   * Path of a config file to use in place of the package's `docker/single.conf`. It may use the same variables, and
   * include that file. Name, address and ports are set by command line as well and win over what the file says; a
   * `store_dir` of its own should be `$NATS_STORE_DIR`, or be left out.
   */
  config?: string;
  /** Further environment variables, such as `NATS_SYNC_INTERVAL: 'always'` (tests use the server's default, `120s`). */
  env?: Record<string, string>;
  /** File the server's log is appended to. It is never removed. Default: one beside the fresh store, removed with it. */
  logFile?: string;
  /** Milliseconds until a start that has not come to a healthy server fails. Default 30 000. */
  startTimeout?: number;
}

/** How a throwaway server is stopped. */
export interface StopOptions {
  /** Keeps a store directory that the server made, so that {@link TestServer.restart} finds its data. Default `false`. */
  keepStore?: boolean;
}

const SERVER = optionKeys<ServerOptions>('TestServer.start', {
  port: true,
  storeDir: true,
  jetstream: true,
  binary: true,
  config: true,
  env: true,
  logFile: true,
  startTimeout: true,
});
const STOP = optionKeys<StopOptions>('a stop', { keepStore: true });

/** The part of a server that its cluster decides. @internal */
export interface Membership {
  readonly name: string;
  readonly port: number;
  readonly monitorPort: number;
  readonly env: Record<string, string>;
}

/**
 * A real nats-server for a test: on 127.0.0.1, on a free port, with a fresh store.
 *
 * It is a child of this process and is killed when this process ends, also by an uncaught error or a signal; only a
 * SIGKILL of this process leaves it running. It does not keep the process alive.
 *
 * @example
 * ```ts
 * await using server = await TestServer.start();
 * const dispatcher = await NatsDispatcher.connect({ servers: server.url });
 * ```
 */
export class TestServer implements AsyncDisposable {
  /** Address for clients: `nats://127.0.0.1:PORT`. */
  readonly url: string;
  /** Port for clients. The same after a restart. */
  readonly port: number;
  /** Port of the http monitoring endpoint. The same after a restart. */
  readonly monitorPort: number;
  /** The server's name, unique to it. */
  readonly name: string;
  /** Where streams are kept. */
  readonly storeDir: string;
  /** Where the log is. */
  readonly logFile: string;

  private process: ServerProcess | undefined;
  // Holds what we made and so remove: the store, the log, or both.
  private readonly scratch: string;

  private constructor(
    private readonly options: ServerOptions,
    private readonly membership: Membership,
    private readonly binary: string,
  ) {
    this.name = membership.name;
    this.port = membership.port;
    this.monitorPort = membership.monitorPort;
    this.url = `nats://127.0.0.1:${this.port}`;
    this.scratch = mkdtempSync(join(tmpdir(), 'nats-semaphore-'));
    this.storeDir = options.storeDir ?? join(this.scratch, 'store');
    this.logFile = options.logFile ?? join(this.scratch, 'server.log');
  }

  /**
   * Starts a server and waits until it is healthy, JetStream included. A free port that somebody else takes first is
   * replaced by another.
   *
   * @throws Error with the end of the server's log if it does not become healthy within `startTimeout`; nothing is
   * left running then.
   */
  static async start(options: ServerOptions = {}): Promise<TestServer> {
    checkKeys(options, SERVER);
    for (let attempt = 1; ; attempt++) {
      const [free, monitorPort] = (await freePorts(2)) as [number, number];
      const port = options.port ?? free;
      try {
        return await TestServer.launch(options, { name: uniqueName(), port, monitorPort, env: {} });
      } catch (error) {
        const again =
          error instanceof PortTakenError && options.port === undefined && attempt < PORT_ATTEMPTS;
        if (!again) throw error;
      }
    }
  }

  /** @internal */
  static async launch(options: ServerOptions, membership: Membership): Promise<TestServer> {
    const server = new TestServer(options, membership, options.binary ?? (await serverBinary()));
    try {
      await server.run(server.deadline());
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** The id of the server's process; `undefined` while it is down. */
  get pid(): number | undefined {
    return this.process?.pid;
  }

  /**
   * Starts the server again, on the same ports and the same store, and waits until it is healthy. One that still runs
   * is stopped first. After a `stop()` that removed the store it starts with an empty one.
   *
   * A member of a cluster is healthy only when a majority is up: restart several at once with `Promise.all`.
   *
   * @throws Error with the end of the server's log if it does not become healthy within `startTimeout`.
   */
  async restart(): Promise<void> {
    await this.process?.terminate();
    const deadline = this.deadline();
    for (;;) {
      try {
        return await this.run(deadline);
      } catch (error) {
        // Our port is of the range that outgoing connections use: one may have it for a moment.
        if (!(error instanceof PortTakenError) || Date.now() > deadline) throw error;
        await sleep(PORT_RETRY);
      }
    }
  }

  /** Kills the server with SIGKILL and waits for its end. The store stays. Safe to call twice. */
  async kill(): Promise<void> {
    await this.process?.kill();
  }

  /**
   * Stops the server with SIGTERM, or with SIGKILL if that takes over 10 s, and waits for its end. Then removes the
   * store if it made it, unless `keepStore`. Safe to call twice, and on a server that is down or paused.
   */
  async stop(options: StopOptions = {}): Promise<void> {
    checkKeys(options, STOP);
    await this.process?.terminate();
    if (options.keepStore) return;
    await rm(this.scratch, { recursive: true, force: true, maxRetries: 3 });
    reaper.forgetDirectory(this.scratch);
  }

  /** Freezes the server (SIGSTOP): its connections stay open and nothing answers. */
  pause(): void {
    this.process?.freeze();
  }

  /** Lets a paused server go on (SIGCONT). */
  resume(): void {
    this.process?.signal('SIGCONT');
  }

  /**
   * What the http monitoring endpoint says.
   *
   * @param path such as `varz`, `connz` or `jsz?streams=true&consumers=true`
   * @throws Error if the server is down, or says nothing for 5 s (it is paused, for one).
   */
  monitor<T>(path: string): Promise<T> {
    return httpJson<T>(this.monitorPort, path, MONITOR_TIMEOUT);
  }

  /** As {@link stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  private async run(deadline: number): Promise<void> {
    reaper.watchDirectory(this.scratch);
    mkdirSync(this.scratch, { recursive: true });
    mkdirSync(this.storeDir, { recursive: true });
    this.process = new ServerProcess({
      binary: this.binary,
      args: this.args(),
      env: this.env(),
      name: this.name,
      monitorPort: this.monitorPort,
      logFile: this.logFile,
    });
    await this.process.ready(deadline);
  }

  private deadline(): number {
    return Date.now() + (this.options.startTimeout ?? START_TIMEOUT);
  }

  private args(): string[] {
    const { config } = this.options;
    if (config === undefined) {
      return [
        '--config',
        packageFile(`docker/${this.membership.env.NATS_CLUSTER_NAME ? 'cluster' : 'single'}.conf`),
      ];
    }
    const own = { addr: '127.0.0.1', port: this.port, http_port: this.monitorPort, name: this.name };
    const flags = Object.entries(own).flatMap(([flag, value]) => [`--${flag}`, `${value}`]);
    return ['--config', config, ...flags];
  }

  private env(): NodeJS.ProcessEnv {
    // The server parses these as it does its config file, hence the quotes.
    return {
      ...process.env,
      // Where a config that names no store has it. The command line cannot say: the server takes it from one of the two.
      ...(this.options.config !== undefined && { TMPDIR: this.storeDir }),
      NATS_SYNC_INTERVAL: '120s',
      ...this.options.env,
      NATS_SERVER_NAME: JSON.stringify(this.name),
      NATS_HOST: '127.0.0.1',
      NATS_PORT: `${this.port}`,
      NATS_HTTP: `127.0.0.1:${this.monitorPort}`,
      NATS_JETSTREAM: `${this.options.jetstream ?? true}`,
      NATS_STORE_DIR: JSON.stringify(this.storeDir),
      ...this.membership.env,
    };
  }
}

/** @internal */
export function uniqueName(): string {
  return `test-${randomUUID()}`;
}
