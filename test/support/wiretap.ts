import { type NatsConnection, connect } from '@nats-io/transport-node';

/** Messages that clients sent. */
export interface Overheard {
  /** Writes, whether stored or refused. */
  readonly writes: number;
  /** Direct gets. */
  readonly reads: number;
}

/** Listens to what clients send to a bucket, before the server decides on it. */
export class Wiretap implements AsyncDisposable {
  private writes = 0;
  private reads = 0;

  private constructor(
    private readonly connection: NatsConnection,
    bucket: string,
  ) {
    connection.subscribe(`$KV.${bucket}.>`, { callback: () => void this.writes++ });
    const callback = (): void => void this.reads++;
    for (const more of ['', '.>'])
      connection.subscribe(`$JS.API.DIRECT.GET.KV_${bucket}${more}`, { callback });
  }

  static async open(url: string, bucket = 'SEMAPHORES'): Promise<Wiretap> {
    const connection = await connect({ servers: url });
    const tap = new Wiretap(connection, bucket);
    await connection.flush();
    return tap;
  }

  /** Everything up to what was sent before this was called. */
  async heard(): Promise<Overheard> {
    await this.connection.flush();
    const { writes, reads } = this;
    return { writes, reads };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection.close();
  }
}
