import { connect } from '@nats-io/transport-node';
import { RawSlot } from './floor';
import { monotonicMs } from './measure';
import type { World } from './world';
import type { WorkerProcess } from './worker-process';

/** Long enough for a waiter to have been refused and to listen; whoever is compared pauses as long. */
export const QUIET_MS = 15;

/**
 * The least that a hand-over between processes needs, by plain publishes: release marker by this process -> announcement
 * heard by the other -> its conditional publish acknowledged. Each call measures one, in ms.
 */
export async function rawHandOver(
  world: World,
  bucket: string,
  worker: WorkerProcess,
): Promise<{
  readonly measure: (quiet: () => Promise<void>) => Promise<number>;
  readonly close: () => Promise<void>;
}> {
  const { url } = await world.server();
  const connection = await connect({ servers: url });
  let lap = 0;
  return {
    async measure(quiet) {
      // A name each time: the last sequence of a used one is only known to who wrote it last.
      const name = `raw-${++lap}`;
      const slot = new RawSlot(connection, bucket, name);
      await slot.claim();
      await worker.call('rawListen', url, bucket, name);
      const claimed = worker.call('rawClaimed', url, bucket, name);
      await quiet();
      const start = monotonicMs();
      const released = slot.release();
      const at = await claimed;
      await released;
      return at - start;
    },
    close: () => connection.close(),
  };
}
