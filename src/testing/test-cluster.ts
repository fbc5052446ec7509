import { setTimeout as sleep } from 'node:timers/promises';

import { checkKeys, optionKeys } from '../api/option-keys';
import { freePorts } from './free-ports';
import { httpJson } from './http-json';
import { PortTakenError } from './server-process';
import { type Membership, type ServerOptions, type StopOptions, TestServer, uniqueName } from './test-server';

const START_TIMEOUT = 60_000;
const POLL = 50;
const ASK_TIMEOUT = 2_000;
const PORT_ATTEMPTS = 5;

/** What the servers of a throwaway cluster are started with: as for one server, and the same for all. */
export type ClusterOptions = Pick<ServerOptions, 'binary' | 'config' | 'env' | 'startTimeout'>;

const CLUSTER = optionKeys<ClusterOptions>('TestCluster.start', {
  binary: true,
  config: true,
  env: true,
  startTimeout: true,
});

interface Jsz {
  meta_cluster?: { leader?: string; cluster_size: number };
  account_details?: { stream_detail?: { name: string; cluster?: { leader?: string } }[] }[];
}

/**
 * A cluster of real nats-servers for a test, each a {@link TestServer} with a store of its own.
 *
 * @example
 * ```ts
 * await using cluster = await TestCluster.start();
 * const dispatcher = await NatsDispatcher.connect({ servers: cluster.urls, replicas: 3 });
 * await (await cluster.leaderOf('KV_SEMAPHORES'))?.kill();
 * ```
 */
export class TestCluster implements AsyncDisposable {
  private constructor(
    /** The members. */
    readonly servers: readonly TestServer[],
  ) {}

  /**
   * Starts a cluster and waits until all its servers are healthy and agree on a leader.
   *
   * @param size how many servers; 3 unless given. With one, use {@link TestServer}.
   * @throws RangeError if the size is not a whole number of at least 2; Error with the end of a server's log if the
   * cluster is not ready in time; nothing is left running then.
   */
  static async start(size = 3, options: ClusterOptions = {}): Promise<TestCluster> {
    checkKeys(options, CLUSTER);
    if (!Number.isInteger(size) || size < 2) {
      throw new RangeError(`size must be a whole number of at least 2, not ${size}`);
    }
    for (let attempt = 1; ; attempt++) {
      try {
        return await TestCluster.attempt(size, { startTimeout: START_TIMEOUT, ...options });
      } catch (error) {
        if (!(error instanceof PortTakenError) || attempt === PORT_ATTEMPTS) throw error;
      }
    }
  }

  private static async attempt(size: number, options: ClusterOptions): Promise<TestCluster> {
    const deadline = Date.now() + (options.startTimeout ?? START_TIMEOUT);
    const members = await plan(size);
    // Side by side: a member is healthy only when it has found the others.
    const started = await Promise.allSettled(members.map((member) => TestServer.launch(options, member)));
    const servers = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const cluster = new TestCluster(servers);
    try {
      const reasons = started.flatMap((result) =>
        result.status === 'rejected' ? [result.reason as Error] : [],
      );
      const first = reasons.find((reason) => reason instanceof PortTakenError) ?? reasons[0];
      if (first) throw first;
      await cluster.agreed(deadline);
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** The addresses of all members, for clients. */
  get urls(): string[] {
    return this.servers.map((server) => server.url);
  }

  /**
   * The member that leads a stream by its own account; `undefined` while none does. Members that are down or paused
   * are not asked, or not heard.
   *
   * @param stream the stream's name: of a bucket, `KV_` and the bucket's name
   */
  async leaderOf(stream: string): Promise<TestServer | undefined> {
    const leads = await Promise.all(
      this.servers.map(async (server) => {
        const jsz = await ask(server, 'jsz?accounts=true&streams=true');
        const streams = jsz?.account_details?.flatMap((account) => account.stream_detail ?? []) ?? [];
        return streams.some(({ name, cluster }) => name === stream && cluster?.leader === server.name);
      }),
    );
    return this.servers.find((_, index) => leads[index]);
  }

  /** Stops all members, as {@link TestServer.stop} does. Safe to call twice. */
  async stop(options: StopOptions = {}): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop(options)));
  }

  /** As {@link stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  private async agreed(deadline: number): Promise<void> {
    const size = this.servers.length;
    for (;;) {
      const views = (await Promise.all(this.servers.map((server) => ask(server, 'jsz')))).map(
        (jsz) => jsz?.meta_cluster,
      );
      const leader = views[0]?.leader;
      if (leader && views.every((view) => view?.leader === leader && view.cluster_size === size)) return;
      if (Date.now() > deadline)
        throw new Error(`The cluster did not agree on a leader in time: ${JSON.stringify(views)}`);
      await sleep(POLL);
    }
  }
}

async function plan(size: number): Promise<Membership[]> {
  const ports = await freePorts(size * 3);
  const routes = ports.slice(size * 2);
  const name = uniqueName();
  return routes.map((route, index) => ({
    name: `${name}-${index + 1}`,
    port: ports[index]!,
    monitorPort: ports[size + index]!,
    env: {
      NATS_CLUSTER_NAME: JSON.stringify(name),
      NATS_CLUSTER_HOST: '127.0.0.1',
      NATS_CLUSTER_PORT: `${route}`,
      NATS_ROUTES: JSON.stringify(routes.map((port) => `nats://127.0.0.1:${port}`)),
    },
  }));
}

async function ask(server: TestServer, path: string): Promise<Jsz | undefined> {
  if (server.pid === undefined) return undefined;
  return httpJson<Jsz>(server.monitorPort, path, ASK_TIMEOUT).catch(() => undefined);
}
