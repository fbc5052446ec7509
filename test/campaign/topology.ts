import { TestCluster, TestServer } from '../../src/testing';

export const TOPOLOGIES = ['r1', 'r3'] as const;
export type TopologyName = (typeof TOPOLOGIES)[number];

/** The servers of a campaign: one, or a cluster of three. */
export class Topology implements AsyncDisposable {
  private constructor(
    readonly name: TopologyName,
    readonly servers: readonly TestServer[],
    private readonly backend: TestServer | TestCluster,
  ) {}

  /** @param config path of the servers' configuration */
  static async start(name: TopologyName, config: string): Promise<Topology> {
    if (name === 'r3') {
      const cluster = await TestCluster.start(3, { config });
      return new Topology(name, cluster.servers, cluster);
    }
    const server = await TestServer.start({ config });
    return new Topology(name, [server], server);
  }

  get replicas(): number {
    return this.servers.length;
  }

  /** Who leads the stream; with one server that one. */
  async leaderOf(stream: string): Promise<TestServer | undefined> {
    return this.backend instanceof TestCluster ? this.backend.leaderOf(stream) : this.servers[0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.servers) server.resume();
    await this.backend.stop();
  }
}
