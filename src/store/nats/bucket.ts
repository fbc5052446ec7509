import { type JetStreamManager, type StreamInfo, jetstreamManager } from '@nats-io/jetstream';
import { type Clock, sleep } from '../../runtime/clock';
import { BucketConfigError, PermissionDeniedError, UnsupportedServerError } from '../../errors';
import { asVersion3 } from './connection';
import { RequestFailure, failureKind, toPublicError } from './failure';
import type { Link } from './link';
import type { LeaderView } from './read';
import { type BucketOptions, type Misfit, isForgetful, misfitsOf, newStream } from './stream-settings';
import { type BucketNames, DEFAULT_API_PREFIX, decode, encodeJson } from './wire';

/** Properties of an open bucket. */
export interface OpenBucket {
  /** Creation time of the stream. It differs once the bucket was deleted and made again. */
  readonly created: string;
  readonly replicas: number;
  /** Whether the bucket takes atomic batches of several writes. */
  readonly atomic: boolean;
  /** The subjects under which the bucket announces changes: a pattern, with the key in the place of the final `>`. */
  readonly destination: string;
}

const STREAM_NOT_FOUND = 10059;
const STREAM_NAME_IN_USE = 10058;
const JETSTREAM_OFF_FOR_ACCOUNT = 10039;
const MAX_BYTES_REQUIRED = 10113;
const API_TIMEOUT_MS = 2_000;
/** After so many unanswered requests, of 2 s each, a busy cluster is no longer the likely cause. */
const SILENCES_BEFORE_WARNING = 4;
const FIND_TRIES = 40;
const FIND_PAUSE_MS = 50;

/** API levels of the server, see its ADR-44: 1 came with 2.11 (per-key TTL), 2 with 2.12 (atomic batches). */
const LEVEL_TTL = 1;
const LEVEL_BATCH = 2;

/** Opens buckets: creates them, checks them, and upgrades them where that is allowed. */
export class BucketOpener {
  private manager: JetStreamManager | undefined;
  private warned = false;
  /** Whether JetStream has ever answered. If it has, it exists, and is only temporarily away. */
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

  /** The state of the stream according to its leader; undefined if there is no stream. */
  async find(): Promise<StreamInfo | undefined> {
    try {
      const info = await this.info();
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

  /** Whether the stream is still that of the open bucket, with settings that fit. */
  isStill({ config, created }: StreamInfo, open: OpenBucket): boolean {
    const now = describe({ config, created });
    const same = (Object.keys(now) as (keyof OpenBucket)[]).every((part) => now[part] === open[part]);
    return same && misfitsOf(config, this.names, this.options).length === 0;
  }

  /** The keys under some patterns according to the stream's leader, and the last sequence that this view covers. */
  async leaderView(patterns: readonly string[]): Promise<LeaderView> {
    const keys = new Set<string>();
    let lastSequence = Infinity;
    try {
      for (const pattern of patterns) {
        const { state } = await this.info(this.names.subject(pattern));
        lastSequence = Math.min(lastSequence, state.last_seq);
        for (const subject of Object.keys(state.subjects ?? {})) {
          const key = this.names.keyOf(subject);
          if (key !== undefined) keys.add(key);
        }
      }
    } catch (error) {
      if (apiCode(error) === STREAM_NOT_FOUND) return { keys: new Set(), lastSequence: 0 };
      throw this.explain(error, `listing the keys of the bucket "${this.names.bucket}"`);
    }
    return { keys, lastSequence };
  }

  /**
   * The stream's info according to its leader. It uses a request of ours, since reads depend on it: an answer that has arrived
   * counts, however late it is read.
   * @param filter also lists the subjects that match it, page by page
   */
  private async info(filter?: string): Promise<StreamInfo> {
    let whole: StreamInfo | undefined;
    for (let offset = 0; ;) {
      const page = await this.infoPage(filter === undefined ? {} : { subjects_filter: filter, offset });
      if (whole === undefined) whole = page;
      else Object.assign(whole.state.subjects ?? {}, page.state.subjects);
      const listed = Object.keys(page.state.subjects ?? {}).length;
      offset += listed;
      if (listed === 0 || offset >= (page.total ?? 0)) return whole;
    }
  }

  private async infoPage(query: object): Promise<StreamInfo & { total?: number }> {
    const { apiStreamInfo, apiPrefix } = this.names;
    const timeout = API_TIMEOUT_MS;
    const page = await this.link.collect(
      apiStreamInfo,
      encodeJson(query),
      { timeout },
      ({ data, headers }) => {
        if (data.length === 0 && headers?.code === 503)
          throw new RequestFailure('absent', `no JetStream answers under ${apiPrefix}`);
        return JSON.parse(decode(data)) as StreamInfo & { total?: number; error?: ApiError };
      },
    );
    if (page.error !== undefined) throw new ApiRefusal(page.error);
    return page;
  }

  /** Makes one request to the API. If there is no answer, the client's error says that JetStream is off. */
  private async ask<T>(send: (manager: JetStreamManager) => Promise<T>): Promise<T> {
    const manager = await this.jetstream();
    return this.link.exchange(() =>
      send(manager).catch((error: unknown) => {
        if (failureKind(error) !== 'absent') throw error;
        throw new RequestFailure('absent', `no JetStream answers under ${this.names.apiPrefix}`, error);
      }),
    );
  }

  private async jetstream(): Promise<JetStreamManager> {
    this.manager ??= await jetstreamManager(asVersion3(this.link.connection), {
      apiPrefix: this.names.apiPrefix,
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
    const config = newStream(this.names, this.options, this.firstSequence(), level >= LEVEL_BATCH);
    try {
      return await this.ask((manager) => manager.streams.add(config));
    } catch (error) {
      if (apiCode(error) === STREAM_NAME_IN_USE) return this.findOther(error);
      if (apiCode(error) !== undefined) throw this.mayNotBe(error as Error);
      throw this.explain(error, `creating the bucket "${this.names.bucket}"`);
    }
  }

  /**
   * Finds the bucket that another dispatcher creates at the same time. The two differ in first_seq, so the server answers the later
   * one that the name is taken. In a cluster the name may be taken some time before the stream can be found.
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

  /** The error to throw if the server refuses to create a bucket with these settings. */
  private mayNotBe(refusal: Error): BucketConfigError {
    const { maxBytes } = this.options;
    const asked = maxBytes === undefined ? '' : ` of maxBytes ${maxBytes}`;
    const remedy =
      apiCode(refusal) === MAX_BYTES_REQUIRED
        ? '. Its account wants a bound for every stream: give maxBytes, the most bytes that the bucket may take'
        : '';
    return new BucketConfigError(
      `the server refused to create the bucket "${this.names.bucket}"${asked}: ${refusal.message}${remedy}`,
      { cause: refusal },
    );
  }

  private async check(info: StreamInfo, knownLevel: number | undefined): Promise<OpenBucket> {
    const misfits = misfitsOf(info.config, this.names, this.options);
    const mayUpdate = this.options.allowBucketUpdate === true;
    // A bucket without atomic batches is usable: that is no reason to refuse it, but a reason to update it.
    const lacksBatches = mayUpdate && info.config.allow_atomic !== true;
    if (misfits.length === 0 && !lacksBatches) return this.accept(info);
    const lasting = misfits.filter(({ mend }) => mend === undefined);
    if (lasting.length > 0 || !mayUpdate) throw this.refusal(misfits, lasting);
    const level = knownLevel ?? (await this.apiLevel());
    if (misfits.length === 0 && level < LEVEL_BATCH) return this.accept(info);
    const changes = misfits.map(({ mend }) => mend);
    const batches = level >= LEVEL_BATCH ? { allow_atomic: true } : {};
    const update = Object.assign({}, info.config, ...changes, batches) as StreamInfo['config'];
    try {
      return this.accept(await this.ask((manager) => manager.streams.update(this.names.stream, update)));
    } catch (error) {
      if (apiCode(error) === undefined) throw this.explain(error, 'changing the bucket');
      throw new BucketConfigError(
        `the bucket "${this.names.bucket}" can not be used (${textsOf(misfits)}) and the server refused to change it: ` +
          (error as Error).message,
        { cause: error },
      );
    }
  }

  private refusal(misfits: readonly Misfit[], lasting: readonly Misfit[]): BucketConfigError {
    const remedy =
      lasting.length > 0
        ? `Give another bucket name, or delete the bucket: these can not be changed in place: ${textsOf(lasting)}`
        : 'Give another bucket name, or allow the bucket to be changed in place with allowBucketUpdate: true';
    return new BucketConfigError(
      `the bucket "${this.names.bucket}" can not be used as it is: ${textsOf(misfits)}. ${remedy}.`,
    );
  }

  private accept(info: StreamInfo): OpenBucket {
    if (isForgetful(info.config)) this.warn();
    return describe(info);
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
      const account = await this.ask((manager) => manager.getAccountInfo());
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

  /** Distinguishes JetStream that is off from JetStream without a leader for a moment: a client sees the same in both cases. */
  private explain(error: unknown, doing: string): Error {
    const kind = failureKind(error);
    // This server knows nothing of JetStream in another domain or account: a leaf node may be cut off for a moment.
    const here = this.names.apiPrefix === DEFAULT_API_PREFIX && this.link.connection.info?.jetstream !== true;
    const notOurs = apiCode(error) === JETSTREAM_OFF_FOR_ACCOUNT && !this.answered;
    if ((here && kind === 'absent') || notOurs) return noJetStream(error, this.link.connection.info?.domain);
    if (kind === 'silent') this.noteSilence();
    return toPublicError(error, doing);
  }

  /**
   * Counts unanswered requests, and warns. A server does not answer at all if the account has no JetStream there and leaf nodes are
   * connected: one of these nodes might have JetStream.
   */
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
   * The first sequence of a new bucket: the microsecond of its creation. Revisions are fencing tokens, and must keep growing when a
   * bucket is deleted and made again. An older bucket reaches that value only with more than a million writes a second.
   */
  private firstSequence(): number {
    return Math.floor(this.clock.wallTime()) * 1000;
  }
}

function describe({ config, created }: Pick<StreamInfo, 'config' | 'created'>): OpenBucket {
  return {
    created,
    replicas: config.num_replicas,
    atomic: config.allow_atomic === true,
    destination: config.republish?.dest ?? '',
  };
}

function textsOf(misfits: readonly Misfit[]): string {
  return misfits.map(({ text }) => text).join('; ');
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

interface ApiError {
  readonly err_code?: number;
  readonly description?: string;
}

/** The error for a request that the API refused. */
class ApiRefusal extends Error {
  readonly code: number;

  constructor({ err_code: code = 0, description = 'no reason given' }: ApiError) {
    super(description);
    this.name = 'ApiRefusal';
    this.code = code;
  }
}

/** The server's error code of a refused API request; undefined for any other error. */
export function apiCode(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  if ('code' in error && typeof error.code === 'number') return error.code;
  return error.cause === undefined ? undefined : apiCode(error.cause);
}
