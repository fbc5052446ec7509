import { within } from '../../support/random';
import { type Job, LOAD, VOID } from '../load';
import type { Forgery } from './forgery';
import type { Knowledge } from './knowledge';
import { HOSTILE_ID } from './marks';
import type { RawMessage } from './raw-connection';

/*
 * What a client with the rights of a worker sends to break what others rely on. Left out is what a worker may do and what
 * breaks the primitive by itself, whatever the library does; the threat model says that a worker has this power:
 *
 * - to write to a slot, a writer's or a reader's place in which there is a hold: the hold is gone. Writes to places of
 *   attacked primitives expect what is under a free place, and are refused otherwise.
 * - `Nats-Rollup`, which removes what is under the key, or (`all`) everything in the bucket
 * - a marker over a place that others claim, and a TTL below that of the marker there: a second marker of the server then comes
 *   over the next claim, or a server that is killed has the removed hold again (protocol, section 4.1)
 * - a hold, or a gift to a ticket, that the server removes sooner than it says: as good as removing it
 * - readable shares of the round that goes on, and rounds: they count
 * - batches that are begun and not ended: the server has a bound for all clients together
 * - more than 200 KB a second: a server empties its files sooner, and what docs/guarantees.md says of two entries that may
 *   come back comes true more often
 *
 * On primitives that no client uses all of it but the rollup is done.
 */

export interface Shot {
  readonly kind: string;
  readonly message: RawMessage;
}

type Target = Pick<Job, 'name' | 'kind' | 'slots'>;

const PREFIX: Readonly<Record<Job['kind'], string>> = {
  semaphore: 'sem',
  mutex: 'mutex',
  'read-write-lock': 'rw',
  latch: 'latch',
};
const ATTACKED = LOAD.filter(({ attacked }) => attacked === true);
const NOBODYS: readonly Target[] = Object.entries(VOID).map(([name, kind]) => ({ name, kind, slots: 2 }));

/** Ids of entries of its own, under each part of each primitive. */
const IDS = 12;
/** More is refused by the stream. */
const MAX_STORED = 16_384;
/** More is refused by the server, which closes the connection. */
const MAX_PAYLOAD = 1_048_576;
/** In which what it writes to a place of an attacked primitive goes away, in s. */
const PLACE_TTL = 2;
/** Of shots at one place of an attacked primitive, by the ttl of what it writes there; the rest of the time clients may have it. */
const PLACE_SHARE = 0.3;

/** How often a gift is tried, of ticks. */
const GIFT = 0.2;

const roundUp = (ms: number): number => Math.ceil(ms / 1_000);

/** Makes shots, at random. */
export class Attacks {
  constructor(
    private readonly forge: Forgery,
    private readonly known: Knowledge,
    private readonly bucket: string,
    private readonly inbox: string,
  ) {}

  /** What is sent all the time. */
  next(): Shot {
    const { forge } = this;
    return forge.one<() => Shot>([
      () => this.junk(),
      () => this.junk(),
      () => this.impostor(),
      () => this.impostor(),
      () => this.impostor(),
      () => this.wish(),
      () => this.share(),
      () => this.nobodys(),
      () => this.nobodys(),
      () => this.read(),
      () => this.answerStored(),
      () => this.answerAnnounced(),
      () => this.forgedAnnouncement(),
      () => this.forgedAdvisory(),
      () => this.forbidden(),
      () => this.refusedByStream(),
    ])();
  }

  /** What holds others up while it stands, at most: for `ms` of the campaign. */
  occupying(ms: number): Shot[] {
    return ATTACKED.flatMap((target) => {
      const lasts = this.placeTtl(target) * 1_000;
      const due = (): boolean => this.forge.random() < (PLACE_SHARE * ms) / lasts;
      // Most gifts come to nothing: no slot is free, or no client waits.
      const made = [
        due() && this.place(target),
        due() && this.ticket(target),
        this.forge.random() < GIFT && this.gift(target),
      ];
      return made.filter((shot) => shot !== false && shot !== undefined);
    });
  }

  writeFlood(count: number): Shot[] {
    return Array.from({ length: count }, () =>
      this.forge.one([() => this.junk(), () => this.wish(), () => this.nobodys()])(),
    );
  }

  readFlood(count: number): Shot[] {
    return Array.from({ length: count }, () => this.read());
  }

  /** What is larger than the stream takes, or than the server does. */
  oversized(): Shot {
    const most = this.forge.random() < 0.15 ? 2 * MAX_PAYLOAD : MAX_PAYLOAD - 1_000;
    const body = Buffer.alloc(within(this.forge.random, MAX_STORED, most), '[');
    return this.shot('oversized', this.ownKey(this.target(), 'ticket'), [], body);
  }

  // ---- entries that can not be read

  /** An entry of its own that no reader can read: its value, its headers, or both. */
  private junk(): Shot {
    const { forge } = this;
    const target = this.target();
    const part = this.partOf(target);
    const lines = forge.random() < 0.3 ? [forge.malformed()] : [];
    const status = forge.one(['', '', '', ' 404 No Messages', ' 503', ' 100 Idle Heartbeat']);
    return this.shot('junk', this.ownKey(target, part), [this.shortly(), ...lines], forge.garbage(), status);
  }

  /** An entry of its own that says by copied headers that it is another, with a value that would be a good one of that. */
  private impostor(): Shot {
    const { forge, known } = this;
    const target = this.target();
    const other = forge.random() < 0.8 ? target : this.target();
    const prefix = prefixOf(other);
    const key = forge.one([
      `${prefix}.limit`,
      `${prefix}.limit`,
      ...this.placesOf(other),
      `${prefix}.removed`,
      `${prefix}.count`,
    ]);
    const there = known.get(key);
    const lines = [`Nats-Subject: $KV.${this.bucket}.${key}`];
    // One that can be true: newer than what is there, and not newer than the stream.
    if (forge.random() < 0.6)
      lines.push(`Nats-Sequence: ${known.latest}`, 'Nats-Time-Stamp: 2026-03-01T12:00:00.000Z');
    else lines.push(...forge.copied(key, known.latest, there?.writeId ?? ''));
    if (!key.endsWith('.limit') && forge.random() < 0.3)
      lines.push(
        forge.one([
          'Nats-Marker-Reason: MaxAge',
          'KV-Operation: PURGE',
          'KV-Operation: DEL',
          'Nats-Marker-Reason: Remove',
        ]),
      );
    return this.shot(
      'impostor',
      this.ownKey(target, this.partOf(target)),
      [this.shortly(), ...lines],
      this.valueOf(key),
    );
  }

  private valueOf(key: string): Buffer {
    if (key.endsWith('.limit')) return Buffer.from('{"v":1,"slots":9}');
    if (key.endsWith('.removed')) return this.forge.record({ ttl: 2_000, force: true }, {});
    if (key.endsWith('.count'))
      return Buffer.from(JSON.stringify({ v: 1, round: this.forge.id(), total: 1, over: true }));
    return this.hold({});
  }

  private hold(fields: object): Buffer {
    const { forge, known } = this;
    return forge.record(
      { permit: forge.id(), ttl: 1_500, ...fields },
      {
        ttl: [1e12, 1e308, -1, '1000'],
        token: [1, known.latest, known.latest + 5, 9_007_199_254_740_000, '7'],
        use: [1_023, 1_024],
        kept: [true, 'true'],
        retain: [1_000, -1],
        after: ['x', ''],
      },
    );
  }

  // ---- entries that others may take for what they say

  /** That somebody waits for what others keep. */
  private wish(): Shot {
    const target = this.forge.one(ATTACKED.filter(({ kind }) => kind === 'semaphore'));
    const body = this.forge.record({ ttl: 10_000 }, { ttl: [1e12, 10_001, '1'] });
    return this.shot('wish', this.ownKey(target, 'wish'), [this.shortly()], body);
  }

  /** A place in the queue, as good as any other; or with one that it does not have. */
  private ticket(target: Target): Shot | undefined {
    if (target.kind === 'latch') return undefined;
    const { forge, known } = this;
    const mode = target.kind === 'read-write-lock' ? { mode: forge.one(['read', 'write']) } : {};
    const body = forge.record(
      { ttl: 10_000, count: forge.one([1, 1, 2, 3]), holdTtl: 8_000, ...mode },
      {
        token: [1, known.latest - 1_000, known.latest, 9_007_199_254_740_000, 9_223_372_036_853_760_000],
        count: [1_000, 0, 1_001],
        ttl: [1e12],
        mode: ['both'],
      },
    );
    return this.shot('ticket', this.ownKey(target, 'ticket'), [`Nats-TTL: ${PLACE_TTL}s`], body);
  }

  /** A slot, a writer's or a reader's place that is free, or beyond the limit: by an entry that can be read, or can not. */
  private place(target: Target): Shot | undefined {
    if (target.kind === 'latch') return undefined;
    const { forge } = this;
    const reader = target.kind === 'read-write-lock' && forge.random() < 0.5;
    const keys = reader ? [this.ownKey(target, 'reader')] : this.placesOf(target);
    const free = keys.filter((each) => this.expectedOf(each) !== undefined);
    if (free.length === 0) return undefined;
    const key = forge.one(free);
    const expected = this.expectedOf(key) ?? 0;
    const body = forge.random() < 0.5 ? forge.garbage() : this.hold({});
    const more =
      forge.random() < 0.3 ? forge.copied(key, this.known.latest, this.known.get(key)?.writeId ?? '') : [];
    return this.shot('place', key, [...this.condition(target, expected), ...more], body);
  }

  /** A free slot, or one that it holds, given to a ticket of another client: as the protocol allows, or under a revision that the ticket does not have. */
  private gift(target: Target): Shot | undefined {
    if (target.kind !== 'semaphore') return undefined;
    const { forge, known } = this;
    const free = this.placesOf(target).flatMap((key) => {
      const there = known.get(key);
      const expected = there?.own === true ? there.revision : this.expectedOf(key);
      return expected === undefined ? [] : [{ key, expected }];
    });
    const tickets = known.standing(`${prefixOf(target)}.ticket.`);
    const ticket = tickets.length === 0 ? undefined : forge.one(tickets);
    if (free.length === 0 || ticket === undefined) return undefined;
    // Slots below the limit stand first, and are seldom free.
    const { key, expected } = forge.random() < 0.7 ? (free[0] as (typeof free)[number]) : forge.one(free);
    const id = ticket.key.split('.').at(-1) ?? '';
    const given = forge.one([
      ticket.revision,
      ticket.revision,
      ticket.revision + 1,
      known.latest,
      1,
      9_007_199_254_740_000,
    ]);
    const body = this.hold({
      ttl: forge.one([6_000, this.placeTtl(target) * 1_000]),
      ticket: id,
      given,
      after: forge.id(),
    });
    return this.shot('gift', key, this.condition(target, expected), body);
  }

  /** What somebody has counted: of another round, or unreadable. */
  private share(): Shot {
    const { forge } = this;
    const target = forge.one(ATTACKED.filter(({ kind }) => kind === 'latch'));
    const body = forge.record(
      { round: forge.id(), done: within(forge.random, 1, 1_000) },
      { done: [1e300, 0, '1'], round: ['', 7] },
    );
    return this.shot(
      'share',
      this.ownKey(target, 'share'),
      forge.random() < 0.5 ? [] : [this.shortly()],
      body,
    );
  }

  /** Anything, under any key of a primitive that no client uses. */
  private nobodys(): Shot {
    const { forge, known } = this;
    const target = forge.one(NOBODYS);
    const prefix = prefixOf(target);
    const key =
      target.kind === 'latch' && forge.random() < 0.3
        ? `${prefix}.count`
        : forge.one([...this.placesOf(target), this.ownKey(target, this.partOf(target))]);
    const lines = [
      ...(forge.random() < 0.5 ? [this.shortly()] : []),
      ...(forge.random() < 0.5 ? forge.copied(key, known.latest, known.get(key)?.writeId ?? '') : []),
      ...(forge.random() < 0.2
        ? [forge.one(['KV-Operation: DEL', 'KV-Operation: PURGE', 'Nats-Marker-Reason: MaxAge'])]
        : []),
      ...(forge.random() < 0.2 ? [forge.malformed()] : []),
    ];
    return this.shot('of nobody', key, lines, forge.random() < 0.5 ? forge.garbage() : this.valueOf(key));
  }

  // ---- what the server is asked

  private read(): Shot {
    const { forge, known } = this;
    const prefix = `$KV.${this.bucket}.${prefixOf(this.target())}`;
    const query = forge.one<object | string>([
      { multi_last: [`${prefix}.>`] },
      { multi_last: [`${prefix}.>`, '$KV.OTHER.>'] },
      { last_by_subj: `${prefix}.limit` },
      { seq: known.latest, batch: 50 },
      { seq: known.latest + 1_000 },
      { multi_last: [] },
      '{'.repeat(500),
    ]);
    const api = forge.one(['DIRECT.GET', 'STREAM.MSG.GET', 'STREAM.INFO']);
    return this.ask('read', api, query, this.inbox);
  }

  /** The server stores its answer, under a key that no client uses: it does not check reply subjects. */
  private answerStored(): Shot {
    const { forge } = this;
    const target = forge.one(NOBODYS);
    const prefix = prefixOf(target);
    const key = forge.one([
      `${prefix}.limit`,
      `${prefix}.count`,
      ...this.placesOf(target),
      this.ownKey(target, this.partOf(target)),
    ]);
    return this.ask('answer stored', ...this.question(), `$KV.${this.bucket}.${key}`);
  }

  /** The server sends its answer where it announces changes. */
  private answerAnnounced(): Shot {
    const { forge, known } = this;
    const target = this.target();
    const key = forge.one([
      `${prefixOf(target)}.limit`,
      ...this.placesOf(target),
      this.ownKey(target, this.partOf(target)),
    ]);
    return this.ask('answer announced', ...this.question(), `${known.prefix || '$SEMAPHORE.x.y'}.${key}`);
  }

  private question(): [api: string, query: object] {
    const { forge } = this;
    const target = this.target();
    const key = forge.one([
      `${prefixOf(target)}.limit`,
      ...this.placesOf(target),
      this.ownKey(target, 'ticket'),
    ]);
    const subject = `$KV.${this.bucket}.${key}`;
    return forge.one<[string, object]>([
      ['DIRECT.GET', { last_by_subj: subject }],
      ['DIRECT.GET', { last_by_subj: subject }],
      ['DIRECT.GET', { multi_last: [subject] }],
      ['STREAM.MSG.GET', { last_by_subj: subject }],
      ['STREAM.INFO', {}],
    ]);
  }

  private ask(kind: string, api: string, query: object | string, reply: string): Shot {
    const subject = `$JS.API.${api}.KV_${this.bucket}`;
    const body = Buffer.from(typeof query === 'string' ? query : JSON.stringify(query));
    return { kind, message: { subject, body, reply } };
  }

  // ---- what a worker may not do

  private forgedAnnouncement(): Shot {
    const { forge, known } = this;
    const target = this.target();
    const key = forge.one([`${prefixOf(target)}.limit`, ...this.placesOf(target)]);
    const lines = [
      `Nats-Stream: KV_${this.bucket}`,
      `Nats-Subject: $KV.${this.bucket}.${key}`,
      `Nats-Sequence: ${known.latest + 1}`,
      'Nats-Time-Stamp: 2026-03-01T12:00:00.000Z',
      'Nats-Last-Sequence: 0',
    ];
    const subject = `${known.prefix || '$SEMAPHORE.x.y'}.${key}`;
    return {
      kind: 'announcement',
      message: { subject, headers: forge.block(lines), body: this.valueOf(key) },
    };
  }

  private forgedAdvisory(): Shot {
    const subject = `$JS.EVENT.ADVISORY.STREAM.${this.forge.one(['DELETED', 'UPDATED'])}.KV_${this.bucket}`;
    return { kind: 'advisory', message: { subject, body: Buffer.from('{}') } };
  }

  private forbidden(): Shot {
    const { bucket, forge } = this;
    const prefix = prefixOf(this.target());
    const subject = forge.one([
      `$KV.${bucket}.${prefix}.limit`,
      `$KV.${bucket}.${prefix}.removed`,
      `$KV.${bucket}.other`,
      `$JS.API.STREAM.PURGE.KV_${bucket}`,
      `$JS.API.STREAM.DELETE.KV_${bucket}`,
      `$JS.API.STREAM.UPDATE.KV_${bucket}`,
      `$JS.API.STREAM.MSG.DELETE.KV_${bucket}`,
      `$JS.API.CONSUMER.CREATE.KV_${bucket}`,
    ]);
    return {
      kind: 'forbidden',
      message: { subject, body: Buffer.from('{"v":1,"slots":9}'), reply: this.inbox },
    };
  }

  /** Headers by which the server would do more than to store the message. */
  private refusedByStream(): Shot {
    const { forge } = this;
    const target = this.target();
    const line = forge.one([
      'Nats-Expected-Last-Sequence: 1',
      'Nats-Expected-Last-Subject-Sequence: x',
      'Nats-Expected-Stream: OTHER',
      'Nats-TTL: -1s',
      'Nats-TTL: soon',
      'Nats-Incr: +1',
      `Nats-Schedule: @at 2026-03-01T12:00:00Z\r\nNats-Schedule-Target: $KV.${this.bucket}.${prefixOf(target)}.limit`,
    ]);
    return this.shot(
      'refused by the stream',
      this.ownKey(target, 'ticket'),
      [line],
      Buffer.from('{"v":1,"slots":9}'),
    );
  }

  // ---- parts of them

  private target(): Target {
    return this.forge.one([...ATTACKED, ...NOBODYS]);
  }

  /** A part under which every client has keys of its own. A reader's place, in which an entry counts, is none of them. */
  private partOf({ kind }: Target): string {
    return kind === 'latch' ? 'share' : this.forge.one(['ticket', 'ticket', 'wish']);
  }

  private ownKey(target: Target, part: string): string {
    const own = target.kind === 'latch' ? 'share' : part;
    return `${prefixOf(target)}.${own}.${HOSTILE_ID}${within(this.forge.random, 0, IDS - 1)}`;
  }

  /** Keys that a client holds, and two beyond the limit. */
  private placesOf({ kind, slots, name }: Target): string[] {
    const prefix = `${PREFIX[kind]}.${name}`;
    if (kind === 'latch') return [`${prefix}.share.${HOSTILE_ID}0`];
    if (kind === 'read-write-lock') return [`${prefix}.writer`];
    return Array.from({ length: slots + 2 }, (_, slot) => `${prefix}.slot.${slot}`);
  }

  /** The revision under which a place is free, as far as is known; undefined: it is taken. */
  private expectedOf(key: string): number | undefined {
    const there = this.known.get(key);
    if (there === undefined) return 0;
    return there.empty ? this.forge.one([there.revision, 0]) : undefined;
  }

  private condition(target: Target, expected: number): string[] {
    return [`Nats-Expected-Last-Subject-Sequence: ${expected}`, `Nats-TTL: ${this.placeTtl(target)}s`];
  }

  /** As long as the marker of a hold stays that was there. */
  private placeTtl({ name }: Target): number {
    return Math.max(PLACE_TTL, roundUp(LOAD.find((job) => job.name === name)?.ttl ?? 0));
  }

  private shortly(): string {
    return `Nats-TTL: ${within(this.forge.random, 1, 3)}s`;
  }

  private shot(kind: string, key: string, lines: readonly string[], body: Buffer, status = ''): Shot {
    const headers = this.forge.block(lines, status);
    return { kind, message: { subject: `$KV.${this.bucket}.${key}`, headers, body, reply: this.inbox } };
  }
}

const prefixOf = ({ kind, name }: Target): string => `${PREFIX[kind]}.${name}`;
