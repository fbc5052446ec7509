import { type NodeConnectionOptions, connect } from '@nats-io/transport-node';
import { BackendUnavailableError } from '../../errors';
import type { NatsConnection } from './connection';

/** Options of the NATS client (3.x). */
export type ConnectionOptions = NodeConnectionOptions;

/** Where to connect when nothing is said. */
export const DEFAULT_SERVER = 'localhost:4222';

/**
 * A connection for a process that lives by its locks: it reconnects for ever (the client's own default is to close for
 * good after about 20 s), soon (within a quarter of a second of the server being back), and notices a dead link within
 * 10 s (default: 4 minutes).
 * @throws BackendUnavailableError if no server can be reached now
 */
export async function openConnection(options: ConnectionOptions): Promise<NatsConnection> {
  const servers =
    options.servers ?? process.env.NATS_URL?.split(',').map((url) => url.trim()) ?? DEFAULT_SERVER;
  try {
    return await connect({
      name: 'nats-semaphore',
      maxReconnectAttempts: -1,
      reconnectTimeWait: 200,
      reconnectJitter: 50,
      pingInterval: 5_000,
      maxPingOut: 2,
      // A stack trace for each request costs a tenth of an acquire; our errors say what they were about.
      noAsyncTraces: true,
      ...options,
      servers,
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BackendUnavailableError(
      `can not connect to NATS at ${[servers].flat().join(', ')}: ${reason}`,
      {
        cause: error,
      },
    );
  }
}
