import { type NatsConnection, connect } from '@nats-io/transport-node';
import { monotonicMs } from './monotonic';

/** One message of a bucket's stream. */
export interface Change {
  readonly key: string;
  readonly revision: number;
  /** What was written; null if the key was removed. */
  readonly value: string | null;
  /** `PURGE`, `MaxAge` and so on if it is a removal. */
  readonly marker: string;
  /** When it was stored, in ms, by the server's clock. */
  readonly storedAt: number;
  /** When it was heard here. */
  readonly at: number;
}

/**
 * Everything a bucket's stream ever stored, in order: the stream itself keeps only the last message of each key, but
 * announces every one.
 */
export class History implements AsyncDisposable {
  readonly changes: Change[] = [];
  private readonly listeners = new Set<() => void>();

  private constructor(
    readonly connection: NatsConnection,
    private readonly bucket: string,
  ) {
    connection.subscribe(`$SEMAPHORE.${bucket}.>`, {
      callback: (error, message) => {
        if (error !== null) return;
        const header = (name: string): string => message.headers?.get(name) ?? '';
        const marker = header('Nats-Marker-Reason') || header('KV-Operation');
        this.changes.push({
          key: header('Nats-Subject').slice(`$KV.${bucket}.`.length),
          revision: Number(header('Nats-Sequence')),
          value: marker === '' ? message.string() : null,
          marker,
          storedAt: Date.parse(header('Nats-Time-Stamp')),
          at: monotonicMs(),
        });
        for (const listener of [...this.listeners]) listener();
      },
    });
  }

  static async open(url: string, bucket = 'SEMAPHORES'): Promise<History> {
    const connection = await connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
    const history = new History(connection, bucket);
    await connection.flush();
    return history;
  }

  /** Everything that was stored from the opening to now, revision by revision. Throws if anything was not heard. */
  async complete(): Promise<readonly Change[]> {
    const changes = await this.heard();
    const first = changes[0]?.revision ?? 0;
    const gap = changes.findIndex(({ revision }, i) => revision !== first + i);
    if (gap >= 0) throw new Error(`revision ${first + gap} was not heard, or not in order`);
    return changes;
  }

  /** What was heard from the opening to now, what was stored last among it: all but what was announced during an outage. */
  async heard(): Promise<readonly Change[]> {
    const reply = await this.connection.request(`$JS.API.STREAM.INFO.KV_${this.bucket}`, undefined, {
      timeout: 5_000,
    });
    const last = reply.json<{ state: { last_seq: number } }>().state.last_seq;
    await this.when(() => ((this.changes.at(-1)?.revision ?? 0) >= last ? true : undefined));
    return [...this.changes];
  }

  /** What was stored after one revision and up to another. */
  async between(after: number, upTo: number): Promise<readonly Change[]> {
    const all = await this.complete();
    return all.filter(({ revision }) => revision > after && revision <= upTo);
  }

  /** The first value of `look` that is there, which is tried again after each change. */
  when<T>(look: () => T | undefined, ms = 20_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const attempt = (): void => {
        const found = look();
        if (found === undefined) return;
        clearTimeout(timer);
        this.listeners.delete(attempt);
        resolve(found);
      };
      const timer = setTimeout(() => {
        this.listeners.delete(attempt);
        reject(new Error(`the bucket ${this.bucket} did not announce what was waited for within ${ms} ms`));
      }, ms);
      this.listeners.add(attempt);
      attempt();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection.close();
  }
}
