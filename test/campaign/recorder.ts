import { isUtf8 } from 'node:buffer';
import { type Msg, type NatsConnection, connect } from '@nats-io/transport-node';
import { HeaderBlock } from '../support/header-block';
import { monotonicMs } from '../support/monotonic';
import { HOSTILE_HEADER, isHostileKey } from './hostile/marks';
import { LineFile, type ReadingLine, type StreamLine } from './history';
import { readHeld } from './reading';

/** Headers that the server adds to what it announces, behind those of the publisher. */
const ADDED = ['Nats-Subject', 'Nats-Sequence', 'Nats-Time-Stamp', 'Nats-Stream', 'Nats-Last-Sequence'];
/** Headers of which an entry has one at most: section 3.4 of the protocol. */
const SINGLE = [
  ...ADDED,
  'Nats-Num-Pending',
  'Nats-UpTo-Sequence',
  'Nats-Marker-Reason',
  'Nats-Rollup',
  'Nats-TTL',
  'KV-Operation',
  'Semaphore-Write',
];

interface StoredMessage {
  readonly subject: string;
  readonly seq: number;
  readonly hdrs?: string;
  readonly data?: string;
  readonly time: string;
}

const ASK_MS = 2_000;
/** A revision announced to nobody may still be on its way for so long. */
const LATE_MS = 300;
const MAX_AT_ONCE = 200;
const NO_SUCH_MESSAGE = 10037;
/** A server that is back may take that long until it can be read. */
const BACK_WITHIN_MS = 4_000;
const READ_AGAIN_MS = 100;

/**
 * Writes down what the bucket's stream stores: as it is announced, on a connection of its own to every server, past the
 * links that fail. What was stored while no announcement came through is read from the stream afterwards, as far as it
 * is still there; what is not stays a gap in the revisions.
 */
export class Recorder implements AsyncDisposable {
  private readonly clocks = new Clocks();
  private readonly known = new Set<number>();
  private readonly gone = new Set<number>();
  private first: number | undefined;
  /** All up to here are known, or known to be gone. */
  private settledUpTo = 0;
  private newest = 0;

  private constructor(
    private readonly connections: readonly NatsConnection[],
    private readonly bucket: string,
    private readonly file: LineFile<StreamLine>,
    private readonly readings: LineFile<ReadingLine>,
  ) {}

  /** @param path where what is stored goes @param readings where goes what servers that are back have */
  static async start(
    urls: readonly string[],
    bucket: string,
    path: string,
    readings: string,
  ): Promise<Recorder> {
    const connections = await Promise.all(
      urls.map((url) =>
        connect({
          servers: url,
          ignoreClusterUpdates: true,
          maxReconnectAttempts: -1,
          reconnectTimeWait: 50,
          reconnectJitter: 0,
        }),
      ),
    );
    const recorder = new Recorder(connections, bucket, new LineFile(path), new LineFile(readings));
    for (const connection of connections) {
      connection.subscribe(`$SEMAPHORE.${bucket}.>`, {
        callback: (error, message) => {
          if (error === null) recorder.hear(message);
        },
      });
      await connection.flush();
    }
    return recorder;
  }

  get revisions(): number {
    return this.known.size;
  }

  get latest(): number {
    return this.newest;
  }

  /** Reads what was not heard. Resolves with the number of revisions of which nothing is known. */
  async fill(): Promise<number> {
    await new Promise((resolve) => setTimeout(resolve, LATE_MS));
    const newest = Math.max(this.newest, await this.lastRevision());
    this.first ??= newest + 1;
    let next = Math.max(this.first, this.settledUpTo + 1);
    while (next <= newest) {
      const missing: number[] = [];
      for (; next <= newest && missing.length < MAX_AT_ONCE; next++)
        if (!this.known.has(next) && !this.gone.has(next)) missing.push(next);
      await Promise.all(missing.map((revision) => this.read(revision)));
    }
    this.settledUpTo = newest;
    return this.gone.size;
  }

  /**
   * Writes down which values each server has, as it is to be after one of them was away. A server that does not answer in time
   * is left out.
   */
  async look(): Promise<void> {
    await Promise.all(this.connections.map((connection, server) => this.lookAt(connection, server)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.connections.map((connection) => connection.close()));
  }

  private async lookAt(connection: NatsConnection, server: number): Promise<void> {
    for (const end = monotonicMs() + BACK_WITHIN_MS; monotonicMs() < end;) {
      try {
        const at = monotonicMs();
        const before = await this.leader(connection);
        const { upTo, entries } = await readHeld(connection, this.bucket);
        const leader = await this.leader(connection);
        const leads = leader === before && (leader === undefined || leader === connection.info?.server_name);
        // Any replica may have answered; what decides is what the leader says when it is asked.
        const led = leads ? await this.askLeader(entries.map(([key]) => key)) : entries;
        return this.readings.add({ at, server, leads, upTo, entries: led });
      } catch {
        await new Promise((resolve) => setTimeout(resolve, READ_AGAIN_MS));
      }
    }
  }

  /** Which of these keys have a value on the stream's leader. */
  private async askLeader(keys: readonly string[]): Promise<(readonly [string, number])[]> {
    const found: (readonly [string, number])[] = [];
    for (let i = 0; i < keys.length; i += MAX_AT_ONCE) {
      const some = keys.slice(i, i + MAX_AT_ONCE).map(async (key) => {
        const query = { last_by_subj: `$KV.${this.bucket}.${key}` };
        const { message } = await this.ask<{ message?: StoredMessage }>(
          `$JS.API.STREAM.MSG.GET.KV_${this.bucket}`,
          query,
        );
        const head = Buffer.from(message?.hdrs ?? '', 'base64').toString();
        const isValue = message !== undefined && !/^(?:KV-Operation|Nats-Marker-Reason):/m.test(head);
        if (isValue) found.push([key, message.seq]);
      });
      await Promise.all(some);
    }
    return found;
  }

  /** Which server leads the stream; undefined without replicas. */
  private async leader(connection: NatsConnection): Promise<string | undefined> {
    const reply = await connection.request(`$JS.API.STREAM.INFO.KV_${this.bucket}`, '', { timeout: ASK_MS });
    const info = reply.json<{ cluster?: { leader?: string; replicas?: unknown[] }; error?: unknown }>();
    if (info.error !== undefined) throw new Error('there is no leader');
    return info.cluster?.replicas === undefined ? undefined : (info.cluster.leader ?? '');
  }

  private hear(message: Msg): void {
    const block = HeaderBlock.of(message);
    const key = this.keyOf(block.last('Nats-Subject'));
    const prefix = /^\$SEMAPHORE\.[^.]+\.[^.]+\./.exec(message.subject)?.[0] ?? '';
    // Only announcements have both. What else comes there is an answer to another client.
    if (message.subject.slice(prefix.length) !== key || block.count('Nats-Last-Sequence') === 0) return;
    let fault = SINGLE.find((name) => block.count(name) > 1);
    try {
      void message.headers;
    } catch {
      fault ??= 'malformed headers';
    }
    const last = Number(block.last('Nats-Last-Sequence'));
    const stamp = block.last('Nats-Time-Stamp');
    this.add(Number(block.last('Nats-Sequence')), key, block, last, message.data, stamp, fault);
  }

  private keyOf(subject: string): string {
    return subject.slice(`$KV.${this.bucket}.`.length);
  }

  private add(
    revision: number,
    key: string,
    block: HeaderBlock,
    last: number | undefined,
    data: Uint8Array,
    stamp: string,
    fault: string | undefined,
  ): void {
    if (this.known.has(revision)) return;
    this.known.add(revision);
    this.first ??= revision;
    this.newest = Math.max(this.newest, revision);
    const removed = block.last('Nats-Marker-Reason') || block.last('KV-Operation');
    const marker = fault === undefined ? removed : '';
    const ttl = /^(\d+)s$/.exec(block.last('Nats-TTL'))?.[1];
    const at = monotonicMs();
    this.file.add({
      revision,
      key,
      last,
      value: marker === '' ? Buffer.from(data).toString() : null,
      marker,
      ...{ fault: fault ?? (isUtf8(data) ? undefined : 'not UTF-8') },
      ...(block.count(HOSTILE_HEADER) > 0 || isHostileKey(key) ? { hostile: true } : {}),
      ttl: ttl === undefined ? undefined : Number(ttl) * 1_000,
      storedAt: Date.parse(stamp) + this.clocks.offset(),
      at,
    });
  }

  private async read(revision: number): Promise<void> {
    const { message } = await this.ask<{ message?: StoredMessage }>(
      `$JS.API.STREAM.MSG.GET.KV_${this.bucket}`,
      { seq: revision },
    );
    if (message === undefined) return void this.gone.add(revision);
    const block = new HeaderBlock(Buffer.from(message.hdrs ?? '', 'base64').toString());
    const expected = block.last('Nats-Expected-Last-Subject-Sequence');
    const fault = ADDED.find((name) => block.count(name) > 0) ?? SINGLE.find((name) => block.count(name) > 1);
    this.add(
      revision,
      this.keyOf(message.subject),
      block,
      expected === '' ? undefined : Number(expected),
      Buffer.from(message.data ?? '', 'base64'),
      message.time,
      fault,
    );
  }

  private async lastRevision(): Promise<number> {
    const info = await this.ask<{ state?: { last_seq: number } }>(
      `$JS.API.STREAM.INFO.KV_${this.bucket}`,
      {},
    );
    return info.state?.last_seq ?? 0;
  }

  /** Asks whichever server answers. */
  private async ask<T>(subject: string, query: object): Promise<T> {
    let failure: unknown;
    for (let tries = 0; tries < 20; tries++) {
      for (const connection of this.connections) {
        try {
          const reply = await connection.request(subject, JSON.stringify(query), { timeout: ASK_MS });
          const answer = reply.json<T & { error?: { err_code: number; description: string } }>();
          if (answer.error === undefined || answer.error.err_code === NO_SUCH_MESSAGE) return answer;
          failure = new Error(answer.error.description);
        } catch (error) {
          failure = error;
        }
      }
    }
    throw new Error('the stream could not be read', { cause: failure });
  }
}

const SAMPLES = 50;

/**
 * What to add to a time of day for one of the monotonic clock. Whoever is interrupted between reading the two gets too little,
 * so the highest of the last readings counts.
 */
class Clocks {
  private readonly readings: number[] = [];

  offset(): number {
    this.readings.push(monotonicMs() - Date.now());
    if (this.readings.length > SAMPLES) this.readings.shift();
    return Math.max(...this.readings);
  }
}
