import { randomUUID } from 'node:crypto';
import {
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  type Subscription,
  headers,
} from '@nats-io/transport-node';
import type { ProtocolText, Values, WireText } from './protocol-text';

/** The reply to a write. */
export interface Answer {
  readonly seq?: number;
  readonly count?: number;
  readonly error?: { readonly err_code: number; readonly description: string };
}

/** The last message of a key. */
export interface StoredEntry {
  readonly key: string;
  readonly revision: number;
  readonly time: string;
  readonly headers: ReadonlyMap<string, string>;
  /** Undefined: the key holds nothing, this is a removal marker. */
  readonly value: string | undefined;
}

/** An entry of ours: its key, what was written last, and under which revision. */
export interface Own {
  readonly key: Values;
  readonly record: Readonly<Record<string, unknown>>;
  readonly revision: number;
  /** Revision of the write that began it. */
  readonly token: number;
}

/**
 * A client in another language, as it were: written from `docs/protocol.md` with nothing but core NATS. It shares no code
 * with the library, takes its messages and values from the page, and does one step at a time, as its test tells it to.
 */
export class ForeignClient {
  private readonly subscriptions: Subscription[] = [];

  constructor(
    private readonly connection: NatsConnection,
    private readonly text: ProtocolText,
    readonly bucket: string,
  ) {}

  // ---- the bucket

  async createBucket(firstSeq = Date.now() * 1000, token = newId()): Promise<void> {
    const block = this.text.json('stream', { bucket: this.bucket, token });
    const config = { ...block, first_seq: firstSeq };
    const answer = await this.api<Answer>(`$JS.API.STREAM.CREATE.KV_${this.bucket}`, config);
    if (answer.error !== undefined) throw new Error(answer.error.description);
  }

  async bucketConfig(): Promise<Record<string, unknown>> {
    const info = await this.api<{ config: Record<string, unknown> }>(
      `$JS.API.STREAM.INFO.KV_${this.bucket}`,
      {},
    );
    return info.config;
  }

  /** The token under which the stream announces changes: section 9 of the page. */
  async token(): Promise<string> {
    const { dest } = (await this.bucketConfig())['republish'] as { dest: string };
    return dest.split('.')[2] as string;
  }

  // ---- writes

  /** Sends a message block of the page. */
  async write(id: string, values: Values): Promise<Answer> {
    return this.send(this.text.message(id, { bucket: this.bucket, write: newId(), ...values }));
  }

  async send(message: WireText): Promise<Answer> {
    const reply = await this.connection.request(message.subject, message.body, {
      timeout: 5_000,
      headers: toHeaders(message),
    });
    return reply.json<Answer>();
  }

  /** Sends it without waiting for an answer, or asking for one. */
  sendBlindly(message: WireText): void {
    this.connection.publish(message.subject, message.body, { headers: toHeaders(message) });
  }

  // ---- the limit

  async setLimit(name: string, slots: number): Promise<number> {
    const limit = JSON.stringify({ ...this.text.json('limit'), slots });
    const key = { name: encodeName(name), limit };
    const known = await this.readOnLeader(`sem.${key.name}.limit`);
    const answer =
      known === undefined
        ? await this.write('limit-create', key)
        : await this.write('limit-change', { ...key, expected: known.revision });
    return stored(answer);
  }

  // ---- slots

  /** Claims a slot; undefined if it is taken. */
  async claim(name: string, slot: number, fields: Record<string, unknown> = {}): Promise<Own | undefined> {
    const record = this.newRecord('hold', { permit: newId(), ...fields });
    const revision = await this.claimWith(name, slot, body('hold', record));
    if (revision === undefined) return undefined;
    return { key: { name: encodeName(name), slot }, record, revision, token: revision };
  }

  /** Claims a slot by a given value; resolves with the revision, or with undefined if it is taken. */
  async claimWith(name: string, slot: number, content: Values): Promise<number | undefined> {
    const key = { name: encodeName(name), slot };
    let expected = 0;
    for (;;) {
      const answer = await this.write('claim', { ...key, expected, ...content });
      if (answer.error === undefined) return stored(answer);
      expected = lastSequence(answer);
      if (expected === 0) continue;
      const there = await this.readOnLeader(`sem.${key.name}.slot.${slot}`);
      if (there?.value !== undefined) return undefined;
      expected = there?.revision ?? 0;
    }
  }

  /** Claims slots that were never used, all or none. */
  async claimTogether(
    wants: readonly { name: string; slot: number; expected?: number }[],
    fields: Record<string, unknown> = {},
  ): Promise<{ answer: Answer; held: Own[] }> {
    const record = this.newRecord('hold', { permit: newId(), ...fields });
    const common = { bucket: this.bucket, batch: newId(), write: newId(), ...body('hold', record) };
    const [first, last] = wants.map(({ name, slot, expected = 0 }, i) => {
      const values = { ...common, name: encodeName(name), slot, expected };
      return this.text.message(i === 0 ? 'batch-first' : 'batch-last', values);
    }) as [WireText, WireText];
    this.sendBlindly(first);
    const answer = await this.send(last);
    if (answer.error !== undefined) return { answer, held: [] };
    const token = stored(answer);
    const held = wants.map(({ name, slot }, i) => {
      return { key: { name: encodeName(name), slot }, record, revision: token - wants.length + 1 + i, token };
    });
    return { answer, held };
  }

  async renew(own: Own): Promise<Own> {
    const record = this.renewedRecord('hold-renewed', own);
    const values = { ...own.key, expected: own.revision, ...body('hold-renewed', record) };
    return { ...own, record, revision: stored(await this.write('renew', values)) };
  }

  async release({ key, record, revision }: Own): Promise<void> {
    stored(await this.write('release', { ...key, expected: revision, ...lived(record) }));
  }

  /** Gives a slot to a ticket. */
  async give({ key, record, revision }: Own, fields: Record<string, unknown>): Promise<Own> {
    const given = this.newRecord('hold-given', { permit: newId(), after: record['permit'], ...fields });
    const values = { ...key, expected: revision, ...body('hold-given', given) };
    const token = stored(await this.write('give', values));
    return { key, record: given, revision: token, token };
  }

  // ---- the queue

  async join(name: string, fields: Record<string, unknown> = {}): Promise<Own & { id: string }> {
    const record = this.newRecord('ticket', fields);
    const id = newId();
    const key = { name: encodeName(name), id };
    const revision = stored(await this.write('ticket', { ...key, ...body('ticket', record) }));
    return { key, record, revision, token: revision, id };
  }

  async renewTicket<T extends Own>(own: T): Promise<T> {
    const record = this.renewedRecord('ticket-renewed', own);
    const values = { ...own.key, expected: own.revision, ...body('ticket-renewed', record) };
    return { ...own, record, revision: stored(await this.write('ticket-renew', values)) };
  }

  async leave({ key, record, revision }: Own): Promise<void> {
    stored(await this.write('ticket-delete', { ...key, expected: revision, ...lived(record) }));
  }

  // ---- reading and hearing

  read(name: string): Promise<StoredEntry[]> {
    return this.readMatching(encodeName(name));
  }

  /** What is left in the bucket. */
  readAll(): Promise<StoredEntry[]> {
    return this.readMatching('*');
  }

  private async readMatching(name: string): Promise<StoredEntry[]> {
    const query = this.text.message('read', { bucket: this.bucket, name });
    const entries: StoredEntry[] = [];
    const replies = await this.connection.requestMany(query.subject, query.body, {
      strategy: 'count',
      maxMessages: 10_000,
      maxWait: 5_000,
    });
    for await (const message of replies) {
      if ((message.headers?.code ?? 0) !== 0) break;
      entries.push(this.toEntry(message));
    }
    return entries;
  }

  /** What a key holds; undefined if there is not even a marker. */
  async readOnLeader(key: string): Promise<StoredEntry | undefined> {
    const query = this.text.message('read-leader', { bucket: this.bucket, key });
    const { message } = await this.api<{
      message?: { seq: number; hdrs?: string; data?: string; time: string };
    }>(query.subject, JSON.parse(query.body));
    if (message === undefined) return undefined;
    const head = Buffer.from(message.hdrs ?? '', 'base64')
      .toString()
      .split('\r\n');
    const found = new Map(head.slice(1).flatMap((line) => (line === '' ? [] : [splitHeader(line)])));
    const value = Buffer.from(message.data ?? '', 'base64').toString();
    return entryOf(key, message.seq, message.time, found, value);
  }

  /** Follows what is announced of a semaphore: subscribe, read, apply by revision. */
  async follow(name: string): Promise<Follower> {
    const follower = new Follower();
    const subject = `$SEMAPHORE.${this.bucket}.${await this.token()}.sem.${encodeName(name)}.>`;
    const callback = (_: Error | null, message: Msg): void => follower.apply(this.toEntry(message));
    this.subscriptions.push(this.connection.subscribe(subject, { callback }));
    for (const entry of await this.read(name)) follower.apply(entry);
    return follower;
  }

  stop(): void {
    for (const subscription of this.subscriptions.splice(0)) subscription.unsubscribe();
  }

  private newRecord(block: string, fields: Record<string, unknown>): Record<string, unknown> {
    return { ...this.text.json(block), holder: 'foreign:1', since: new Date().toISOString(), ...fields };
  }

  /** The record as renewals write it: all fields that the page's example has, those that were there before, and the token. */
  private renewedRecord(block: string, { record, token }: Own): Record<string, unknown> {
    const known = Object.keys(this.text.json(block));
    const kept = Object.entries({ ...record, token }).filter(([field]) => known.includes(field));
    return Object.fromEntries(kept);
  }

  private async api<T>(subject: string, query: unknown): Promise<T> {
    const reply = await this.connection.request(subject, JSON.stringify(query), { timeout: 5_000 });
    return reply.json<T>();
  }

  private toEntry(message: Msg): StoredEntry {
    const found = fromHeaders(message.headers);
    const key = (found.get('Nats-Subject') ?? '').slice(`$KV.${this.bucket}.`.length);
    const revision = Number(found.get('Nats-Sequence'));
    return entryOf(key, revision, found.get('Nats-Time-Stamp') ?? '', found, message.string());
  }
}

/** What is known of a semaphore's keys, and everything that was announced of them. */
export class Follower {
  readonly entries = new Map<string, StoredEntry>();
  readonly heard: StoredEntry[] = [];
  private readonly waiting = new Set<() => void>();

  apply(entry: StoredEntry): void {
    if ((this.entries.get(entry.key)?.revision ?? 0) >= entry.revision) return;
    this.entries.set(entry.key, entry);
    this.heard.push(entry);
    for (const check of [...this.waiting]) check();
  }

  /** Keys that hold a value, and what it says. */
  get values(): Map<string, Record<string, unknown>> {
    const present = [...this.entries.values()].filter(({ value }) => value !== undefined);
    return new Map(
      present.map(({ key, value }) => [key, JSON.parse(value as string) as Record<string, unknown>]),
    );
  }

  /** Tickets that are not served, first come first. */
  get queue(): { id: string; record: Record<string, unknown> }[] {
    const values = [...this.values];
    const served = new Set(
      values.map(([key, record]) => (key.includes('.slot.') ? record.ticket : undefined)),
    );
    return values
      .filter(([key]) => key.includes('.ticket.'))
      .map(([key, record]) => ({
        id: key.split('.')[3] as string,
        order: Number(record.token ?? this.entries.get(key)?.revision),
        record,
      }))
      .filter(({ id }) => !served.has(id))
      .sort((a, b) => a.order - b.order);
  }

  /** Resolves as soon as `found` gives something of what is known. */
  until<T>(found: () => T | undefined | false): Promise<T> {
    return new Promise((resolve) => {
      const check = (): void => {
        const result = found();
        if (result === undefined || result === false) return;
        this.waiting.delete(check);
        resolve(result);
      };
      this.waiting.add(check);
      check();
    });
  }
}

/** Section 2 of the page. */
export function encodeName(name: string): string {
  return [...Buffer.from(name, 'utf8')]
    .map((byte) =>
      /[A-Za-z0-9_/-]/.test(String.fromCharCode(byte))
        ? String.fromCharCode(byte)
        : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('');
}

/** Section 4.1 of the page. */
export function wholeSeconds(ttl: number): number {
  return Math.max(1, Math.ceil(ttl / 1000));
}

export function newId(): string {
  return randomUUID();
}

/** The sequence that a refusal names. */
export function lastSequence({ error }: Answer): number {
  const named = /: (\d+)$/.exec(error?.description ?? '')?.[1];
  if (error?.err_code !== 10071 || named === undefined) throw new Error(JSON.stringify(error));
  return Number(named);
}

/** The revision that an answer gives. */
export function stored(answer: Answer): number {
  if (answer.error !== undefined || answer.seq === undefined) throw new Error(JSON.stringify(answer));
  return answer.seq;
}

export function fromHeaders(found: MsgHdrs | undefined): Map<string, string> {
  return new Map([...(found ?? [])].map(([name, values]) => [name, values.join()]));
}

function toHeaders(message: WireText): MsgHdrs {
  const h = headers();
  for (const [name, value] of message.headers) h.set(name, value);
  return h;
}

/** A value, under the name of its placeholder, and the TTL that goes with it. */
function body(placeholder: string, record: Readonly<Record<string, unknown>>): Values {
  return { [placeholder]: JSON.stringify(record), ...lived(record) };
}

/** The TTL of an entry with that value, and of the marker that removes it. */
export function lived({ ttl }: Readonly<Record<string, unknown>>): Values {
  return { seconds: wholeSeconds(Number(ttl)) };
}

function splitHeader(line: string): [string, string] {
  const at = line.indexOf(':');
  return [line.slice(0, at), line.slice(at + 1).trim()];
}

function entryOf(
  key: string,
  revision: number,
  time: string,
  found: ReadonlyMap<string, string>,
  value: string,
): StoredEntry {
  const removed = found.has('KV-Operation') || found.has('Nats-Marker-Reason');
  return { key, revision, time, headers: found, value: removed ? undefined : value };
}
