import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { type NatsConnection, connect } from '@nats-io/transport-node';
import { monotonicMs } from './monotonic';

/** What the stream's leader has under a key. */
export interface StoredEntry {
  readonly revision: number;
  /** `PURGE`, `MaxAge` and so on if it is a marker. */
  readonly marker: string;
  /** Id of the permit in it, if it can be read. */
  readonly permit: string | undefined;
  readonly value: string;
}

/** A change as the bucket announced it. */
export interface Announcement {
  readonly key: string;
  readonly revision: number;
  readonly marker: string;
  readonly permit: string | undefined;
  /** When it was heard here. */
  readonly at: number;
}

interface RawMessage {
  seq: number;
  hdrs?: string;
  data?: string;
}

/** Looks at a bucket past the library: at its stream, and at what its stream announces. */
export class BucketProbe implements AsyncDisposable {
  readonly announcements: Announcement[] = [];
  private readonly listeners = new Set<() => void>();

  private constructor(
    readonly connection: NatsConnection,
    readonly manager: JetStreamManager,
    readonly bucket: string,
  ) {
    connection.subscribe(`$SEMAPHORE.${bucket}.>`, {
      callback: (error, message) => {
        if (error !== null) return;
        const header = (name: string): string => message.headers?.get(name) ?? '';
        this.announcements.push({
          key: header('Nats-Subject').slice(`$KV.${bucket}.`.length),
          revision: Number(header('Nats-Sequence')),
          marker: header('Nats-Marker-Reason') || header('KV-Operation'),
          permit: permitIn(message.string()),
          at: monotonicMs(),
        });
        for (const listener of [...this.listeners]) listener();
      },
    });
  }

  static async open(url: string | string[], bucket = 'SEMAPHORES'): Promise<BucketProbe> {
    const connection = await connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 200 });
    const manager = await jetstreamManager(connection, { checkAPI: false });
    const probe = new BucketProbe(connection, manager, bucket);
    await connection.flush();
    return probe;
  }

  get stream(): string {
    return `KV_${this.bucket}`;
  }

  /** Reads a key on the stream's leader. */
  async entry(key: string): Promise<StoredEntry | undefined> {
    const query = JSON.stringify({ last_by_subj: `$KV.${this.bucket}.${key}` });
    const reply = await this.connection.request(`$JS.API.STREAM.MSG.GET.${this.stream}`, query, {
      timeout: 5_000,
    });
    const { message, error } = reply.json<{
      message?: RawMessage;
      error?: { err_code: number; description: string };
    }>();
    if (error !== undefined && error.err_code !== 10037) throw new Error(error.description);
    if (message === undefined) return undefined;
    const head = Buffer.from(message.hdrs ?? '', 'base64').toString();
    const value = Buffer.from(message.data ?? '', 'base64').toString();
    const marker = /^(?:KV-Operation|Nats-Marker-Reason): *(.*?)\r?$/m.exec(head)?.[1] ?? '';
    return { revision: message.seq, marker, permit: permitIn(value), value };
  }

  /** How many messages the stream has, removal markers included. */
  async messages(): Promise<number> {
    const { state } = await this.manager.streams.info(this.stream);
    return state.messages;
  }

  /** Keys that hold a value: neither markers nor nothing. */
  async liveKeys(): Promise<string[]> {
    const info = await this.manager.streams.info(this.stream, { subjects_filter: '>' });
    const keys = Object.keys(info.state.subjects ?? {}).map((s) => s.slice(`$KV.${this.bucket}.`.length));
    const entries = await Promise.all(keys.map((key) => this.entry(key)));
    return keys.filter((_, i) => entries[i] !== undefined && entries[i]?.marker === '');
  }

  async deleteBucket(): Promise<void> {
    await this.manager.streams.delete(this.stream);
  }

  /** The first announcement that matches, past or to come. */
  announced(matches: (a: Announcement) => boolean, ms = 10_000): Promise<Announcement> {
    return this.when(() => this.announcements.find(matches), ms);
  }

  /** The first value of `look` that is there, which is tried again after each announcement. */
  when<T>(look: () => T | undefined, ms = 10_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const listener = (): void => {
        const found = look();
        if (found === undefined) return;
        clearTimeout(timer);
        this.listeners.delete(listener);
        resolve(found);
      };
      const timer = setTimeout(() => {
        this.listeners.delete(listener);
        reject(new Error(`the bucket ${this.bucket} did not announce what was waited for within ${ms} ms`));
      }, ms);
      this.listeners.add(listener);
      listener();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection.close();
  }
}

function permitIn(value: string): string | undefined {
  if (value === '') return undefined;
  try {
    return (JSON.parse(value) as { permit?: string }).permit;
  } catch {
    return undefined;
  }
}
