import { randomUUID } from 'node:crypto';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { TestServer } from '../../src/testing';

/** Where the demo plays: a bucket of its own on the server of `NATS_URL`, or on one that is started for it. */
export interface Stage {
  readonly url: string;
  readonly bucket: string;
  /** What to call the server, for people. */
  readonly server: string;
  /** Removes the bucket, and stops the server if it was started here. */
  clear(): Promise<void>;
}

export async function openStage(): Promise<Stage> {
  const given = process.env.NATS_URL ?? '';
  const started = given === '' ? await TestServer.start() : undefined;
  const url = started?.url ?? given;
  const bucket = `demo-${randomUUID().slice(0, 8)}`;
  try {
    const connection = await connect({ servers: url.split(',').map((one) => one.trim()), timeout: 5_000 });
    const version = connection.info?.version ?? '?';
    // What the client says it is connected to has no user name or password in it.
    const where = connection.getServer();
    await connection.close();
    return {
      url,
      bucket,
      server: `nats-server ${version} at ${where} (${started ? 'started for the demo' : 'from NATS_URL'})`,
      async clear() {
        if (started === undefined) await removeBucket(url, bucket);
        await started?.stop();
      },
    };
  } catch (error) {
    await started?.stop();
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`can not connect to the server${started ? '' : ' of NATS_URL'}: ${reason}`, {
      cause: error,
    });
  }
}

async function removeBucket(url: string, bucket: string): Promise<void> {
  const connection = await connect({ servers: url.split(',').map((one) => one.trim()), timeout: 5_000 });
  try {
    const manager = await jetstreamManager(connection);
    await manager.streams.delete(`KV_${bucket}`);
  } finally {
    await connection.close();
  }
}
