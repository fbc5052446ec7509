import { TestServer } from '../../src/testing';
import { freePorts } from '../../src/testing/free-ports';
import { eventually } from './eventually';
import { scratchDirectory } from './scratch';

/** Names of the JetStream domains. */
export const HUB = 'hub';
export const LEAF = 'leaf';

/** A hub and a leaf node, a JetStream domain each, in one account. */
export class HubAndLeaf implements AsyncDisposable {
  private constructor(
    readonly hub: TestServer,
    readonly leaf: TestServer,
  ) {}

  static async start(): Promise<HubAndLeaf> {
    const scratch = scratchDirectory();
    const [port] = (await freePorts(1)) as [number];
    const jetstream = (domain: string) =>
      `jetstream { store_dir: $NATS_STORE_DIR, domain: ${domain}, max_file_store: 1GB }`;
    const hub = scratch.write('hub.conf', `${jetstream(HUB)}\nleafnodes { listen: "127.0.0.1:${port}" }`);
    const leaf = scratch.write(
      'leaf.conf',
      `${jetstream(LEAF)}\nleafnodes { reconnect: 1, remotes: [{ url: "nats://127.0.0.1:${port}" }] }`,
    );
    const world = new HubAndLeaf(
      await TestServer.start({ config: hub }),
      await TestServer.start({ config: leaf }),
    );
    await world.joined();
    return world;
  }

  /** Resolves when the leaf node has reached the hub. */
  async joined(): Promise<void> {
    await eventually(async () => {
      const { leafnodes } = await this.hub.monitor<{ leafnodes: number }>('leafz');
      if (leafnodes !== 1) throw new Error(`the hub has ${leafnodes} leaf nodes`);
    }, 30_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.leaf.stop(), this.hub.stop()]);
  }
}
