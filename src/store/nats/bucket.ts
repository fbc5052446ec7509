import {
  type JetStreamManager,
  type StreamConfig,
  type StreamInfo,
  jetstreamManager,
} from '@nats-io/jetstream';
import { type Clock, sleep } from '../../core/clock';
import { BucketConfigError, PermissionDeniedError, UnsupportedServerError } from '../../errors';
import { MARKER_TTL_MS } from '../store';
import { asVersion3 } from './connection';
import { failureKind, toPublicError } from './failure';
import type { Link } from './link';
import type { LeaderView } from './read';
import type { BucketNames } from './wire';

/** How the bucket is made, where it has to be made. */
export interface BucketOptions {
  storage?: 'file' | 'memory';
  replicas?: number;
  placement?: { cluster?: string; tags?: string[] };
  allowBucketUpdate?: boolean;
}

/** What an open bucket is like. */
export interface OpenBucket {
  /** Changes when the bucket was deleted and made again. */
  readonly created: string;
  readonly replicas: number;
  /** Whether several writes can go out as one. */
  readonly atomic: boolean;
}

const STREAM_NOT_FOUND = 10059;
const STREAM_NAME_IN_USE = 10058;
const JETSTREAM_OFF_FOR_ACCOUNT = 10039;
const API_TIMEOUT_MS = 2_000;
/** After so many requests, 2 s each, it is no busy cluster any more. */
const SILENCES_BEFORE_WARNING = 4;
const FIND_TRIES = 40;
const FIND_PAUSE_MS = 50;
const NANOS_PER_MS = 1_000_000;

/**
 * Most bytes of a message, headers included, in a bucket that we make. Ours have at most some 11,000: a holder of 1,024
 * bytes, six times that when every character has to be escaped, metadata of 4,096, and what surrounds them.
 */
const MOST_MESSAGE_BYTES = 16_384;

/** API levels of the server, see its ADR-44: 1 came with 2.11 (per-key TTL), 2 with 2.12 (atomic batches). */
const LEVEL_TTL = 1;
const LEVEL_BATCH = 2;

/** Opens buckets: makes them, checks them, upgrades them where that is allowed. */
export class BucketOpener {
  private manager: JetStreamManager | undefined;
  private warned = false;
  /** Whether JetStream has ever answered: then it is there, and away for a while at most. */
  private answered = false;
  private unanswered = 0;

  constructor(
    private readonly link: Link,
    private readonly names: BucketNames,
    private readonly options: BucketOptions,
    private readonly clock: Clock,
  ) {}

  /**
   * @throws UnsupportedServerError, BucketConfigError, PermissionDeniedError, BackendUnavailableError
   */
  async open(): Promise<OpenBucket> {
    const found = await this.find();
    if (found !== undefined) return this.check(found, undefined);
    try {
      const level = await this.apiLevel();
      return await this.check(await this.create(level), level);
    } catch (error) {
      throw error instanceof PermissionDeniedError ? this.mayNotCreate(error) : error;
    }
  }

  /** The state of the stream as its leader knows it; undefined if there is none. */
  async find(): Promise<StreamInfo | undefined> {
    try {
      const manager = await this.jetstream();
      const info = await this.link.exchange(() => manager.streams.info(this.names.stream));
      this.answered = true;
      return info;
    } catch (error) {
      if (apiCode(error) === STREAM_NOT_FOUND) {
        this.answered = true;
        return undefined;
      }
      throw this.explain(error, `looking for the bucket "${this.names.bucket}"`);
    }
  }

  /** The keys under some patterns, and up to which sequence that is so, as the stream's leader has them. */
  async leaderView(patterns: readonly string[]): Promise<LeaderView> {
    const keys = new Set<string>();
    let lastSequence = Infinity;
    try {
      const manager = await this.jetstream();
      for (const pattern of patterns) {
        const filter = { subjects_filter: this.names.subject(pattern) };
        const { state } = await this.link.exchange(() => manager.streams.info(this.names.stream, filter));
        lastSequence = Math.min(lastSequence, state.last_seq);
        for (const subject of Object.keys(state.subjects ?? {})) keys.add(this.names.key(subject));
      }
    } catch (error) {
      if (apiCode(error) === STREAM_NOT_FOUND) return { keys: new Set(), lastSequence: 0 };
      throw this.explain(error, `listing the keys of the bucket "${this.names.bucket}"`);
    }
    return { keys, lastSequence };
  }

  private async jetstream(): Promise<JetStreamManager> {
    this.manager ??= await jetstreamManager(asVersion3(this.link.connection), {
      checkAPI: false,
      timeout: API_TIMEOUT_MS,
    });
    return this.manager;
  }

  private mayNotCreate(refusal: PermissionDeniedError): PermissionDeniedError {
    const { bucket, apiCreate, apiInfo } = this.names;
    return new PermissionDeniedError(
      `the bucket "${bucket}" does not exist, and this user may not create it: that takes the right to publish to ` +
        `${apiInfo} and ${apiCreate}. Create it once as a user who has it. (${refusal.message})`,
      { cause: refusal },
    );
  }

  private async create(level: number): Promise<StreamInfo> {
    const config = {
      ...this.wanted(level),
      first_seq: this.firstSequence(),
      max_msg_size: MOST_MESSAGE_BYTES,
    };
    try {
      const manager = await this.jetstream();
      return await this.link.exchange(() => manager.streams.add(config));
    } catch (error) {
      if (apiCode(error) === STREAM_NAME_IN_USE) return this.findOther(error);
      if (apiCode(error) !== undefined) {
        throw new BucketConfigError(
          `the server refused to create the bucket "${this.names.bucket}": ${(error as Error).message}`,
          { cause: error },
        );
      }
      throw this.explain(error, `creating the bucket "${this.names.bucket}"`);
    }
  }

  /**
   * Two dispatchers made it at once: first_seq differs between them, so the later one is told that the name is taken. In a
   * cluster it may be taken some time before it can be found.
   */
  private async findOther(refusal: unknown): Promise<StreamInfo> {
    for (let tries = 0; tries < FIND_TRIES; tries++) {
      const found = await this.find();
      if (found !== undefined) return found;
      await sleep(this.clock, FIND_PAUSE_MS, undefined, { keepAlive: true });
    }
    throw toPublicError(
      refusal,
      `waiting for the bucket "${this.names.bucket}", which somebody else is creating`,
    );
  }

  private async check(info: StreamInfo, knownLevel: number | undefined): Promise<OpenBucket> {
    const misfits = this.misfits(info.config);
    const mayUpdate = this.options.allowBucketUpdate === true;
    // Without atomic batches it is of use, too: that alone is no reason to refuse it, but one to change it.
    const lacksBatches = mayUpdate && info.config.allow_atomic !== true;
    if (misfits.length === 0 && !lacksBatches) return this.describe(info);
    const level = knownLevel ?? (await this.apiLevel());
    if (misfits.length === 0 && level < LEVEL_BATCH) return this.describe(info);
    const remedy =
      'Give another bucket name, or allow the bucket to be changed in place with allowBucketUpdate: true';
    if (!mayUpdate) {
      throw new BucketConfigError(
        `the bucket "${this.names.bucket}" can not be used as it is: ${misfits.join('; ')}. ${remedy}.`,
      );
    }
    try {
      const manager = await this.jetstream();
      const { allow_atomic, ...needed } = this.wanted(level);
      const atomic = info.config.allow_atomic === true || allow_atomic === true;
      const { storage, num_replicas } = info.config;
      const update = { ...info.config, ...needed, storage, num_replicas, allow_atomic: atomic };
      return this.describe(await this.link.exchange(() => manager.streams.update(this.names.stream, update)));
    } catch (error) {
      if (apiCode(error) === undefined) throw this.explain(error, 'changing the bucket');
      throw new BucketConfigError(
        `the bucket "${this.names.bucket}" can not be used (${misfits.join('; ')}) and the server refused to change it: ` +
          (error as Error).message,
        { cause: error },
      );
    }
  }

  private describe({ config, created }: StreamInfo): OpenBucket {
    if (forgetful(config)) this.warn();
    return { created, replicas: config.num_replicas, atomic: config.allow_atomic === true };
  }

  private wanted(level: number): Partial<StreamConfig> & { name: string } {
    return {
      name: this.names.stream,
      subjects: [this.names.subject('>')],
      storage: this.options.storage ?? 'file',
      num_replicas: this.options.replicas ?? 1,
      ...(this.options.placement === undefined
        ? {}
        : { placement: this.options.placement as StreamConfig['placement'] }),
      // A KV bucket, as ADR-8 has it, of which any KV client can read the keys.
      max_msgs_per_subject: 1,
      discard: 'new',
      max_age: 0,
      allow_direct: true,
      allow_rollup_hdrs: true,
      deny_delete: true,
      // Per-key TTL, and a marker when one runs out: without the marker nobody would hear of it.
      allow_msg_ttl: true,
      subject_delete_marker_ttl: MARKER_TTL_MS * NANOS_PER_MS,
      // Every change to plain subscribers; leaves nothing on the server when they go.
      republish: { src: this.names.subject('>'), dest: this.names.events('>') },
      ...(level >= LEVEL_BATCH ? { allow_atomic: true } : {}),
    };
  }

  /** What stands in the way of the promises, each with the reason. */
  private misfits(config: StreamConfig): string[] {
    const wrong: string[] = [];
    if (config.allow_msg_ttl !== true)
      wrong.push('it has no per-key TTL (allow_msg_ttl), so a crashed holder would hold for ever');
    if ((config.subject_delete_marker_ttl ?? 0) === 0) {
      wrong.push(
        'it leaves no marker when a key expires (subject_delete_marker_ttl), so waiters would not hear of it',
      );
    }
    if (config.max_msgs_per_subject !== 1) {
      wrong.push(
        `its history is ${config.max_msgs_per_subject}, not 1: an expired hold would uncover an older one`,
      );
    }
    if (config.max_age > 0)
      wrong.push(`it removes every key after ${config.max_age / NANOS_PER_MS} ms (max_age)`);
    const bounded = config.max_msgs > 0 || config.max_bytes > 0;
    if (bounded && (config.discard as string) !== 'new') {
      wrong.push('it drops old keys when it is full (discard), and with them holds');
    }
    if (config.allow_direct !== true) wrong.push('it can not be read directly (allow_direct)');
    const { src, dest, headers_only: bare } = config.republish ?? { src: '', dest: '' };
    if (bare === true || src !== this.names.subject('>') || dest !== this.names.events('>')) {
      wrong.push(
        `it does not announce changes (republish ${this.names.subject('>')} to ${this.names.events('>')})`,
      );
    }
    if (forgetful(config) && this.options.storage !== 'memory') {
      wrong.push(
        'it is kept in the memory of one server, which forgets all holders when it restarts; say storage: "memory" to accept that',
      );
    }
    return wrong;
  }

  private warn(): void {
    if (this.warned) return;
    this.warned = true;
    process.emitWarning(
      `the bucket "${this.names.bucket}" is kept in the memory of one server: when that restarts, ` +
        'all holds are forgotten while their holders still believe in them',
      { code: 'NATS_SEMAPHORE_MEMORY' },
    );
  }

  private async apiLevel(): Promise<number> {
    let level: number;
    try {
      const manager = await this.jetstream();
      const account = await this.link.exchange(() => manager.getAccountInfo());
      level = (account.api as { level?: number }).level ?? 0;
    } catch (error) {
      throw this.explain(error, 'asking for the version of JetStream');
    }
    if (level >= LEVEL_TTL) return level;
    throw new UnsupportedServerError(
      `nats-server ${this.link.connection.info?.version ?? '(version unknown)'} has no per-key TTL: ` +
        'nats-server 2.11 or newer is needed, 2.12 or newer for permits of several slots.',
    );
  }

  /** Tells JetStream being off from JetStream being without a leader for a moment: both look alike to a client. */
  private explain(error: unknown, doing: string): Error {
    const kind = failureKind(error);
    const off = kind === 'absent' && this.link.connection.info?.jetstream !== true;
    const notOurs = apiCode(error) === JETSTREAM_OFF_FOR_ACCOUNT && !this.answered;
    if (off || notOurs) return noJetStream(error, this.link.connection.info?.domain);
    if (kind === 'silent') this.noteSilence();
    return toPublicError(error, doing);
  }

  /** A server says nothing at all of JetStream if the account has none there and leaf nodes are connected: one of those might. */
  private noteSilence(): void {
    this.unanswered = this.link.isUp ? this.unanswered + 1 : 0;
    if (this.answered || this.unanswered !== SILENCES_BEFORE_WARNING) return;
    process.emitWarning(
      `JetStream has not answered ${this.unanswered} requests over a connection that stands, and is asked on. ` +
        `${domainAdvice(this.link.connection.info?.domain)}.`,
      { code: 'NATS_SEMAPHORE_NO_JETSTREAM' },
    );
  }

  /**
   * Revisions are fencing tokens, and must keep growing when a bucket is deleted and made again: a new one starts at
   * the microsecond of its creation, which an older one reaches only with more than a million writes a second.
   */
  private firstSequence(): number {
    return Math.floor(this.clock.wallTime()) * 1000;
  }
}

function noJetStream(cause: unknown, domain: string | undefined): UnsupportedServerError {
  return new UnsupportedServerError(
    'JetStream is not enabled on the server, or not for this account. Start nats-server with -js, add a jetstream block to its ' +
      `configuration, and "jetstream: enabled" to that of the account. ${domainAdvice(domain)}.`,
    { cause },
  );
}

function domainAdvice(domain: string | undefined): string {
  const own = domain === undefined ? '' : ` (that of this server is "${domain}")`;
  return `At a leaf node, JetStream may be in another domain${own}, which has to be named, or the account may have none here`;
}

/** Whether a restart of one server loses all that the stream holds. */
function forgetful(config: StreamConfig): boolean {
  return config.num_replicas === 1 && (config.storage as string) === 'memory';
}

/** The server's error code of a refused API request; undefined for any other error. */
export function apiCode(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  if ('code' in error && typeof error.code === 'number') return error.code;
  return error.cause === undefined ? undefined : apiCode(error.cause);
}
