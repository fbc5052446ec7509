import type { Entry } from '../store/store';
import { encodeName } from '../protocol/name';
import { type Known, EntryCache } from '../state/entry-cache';
import type { Decoded } from '../protocol/decode';
import { type Round, type Share, decodeRound, decodeShare } from '../protocol/records';

/** Keys of one latch. */
export class LatchKeys {
  readonly prefix: string;

  constructor(name: string) {
    this.prefix = `latch.${encodeName(name)}`;
  }

  get round(): string {
    return `${this.prefix}.count`;
  }

  share(client: string): string {
    return `${this.prefix}.share.${client}`;
  }

  get all(): string {
    return `${this.prefix}.>`;
  }
}

/** All entries of all latches. */
export const ALL_LATCHES = 'latch.*.>';

/** The entries of one latch, decoded. */
export class LatchTable {
  readonly picture = new EntryCache((key, known) => this.reread(key, known));
  private stored: Decoded<Round> | undefined;
  private readonly shares = new Map<string, Decoded<Share>>();

  constructor(readonly keys: LatchKeys) {}

  apply(entry: Entry, heardAt: number): void {
    this.picture.apply(entry, heardAt);
  }

  /** The round as stored; undefined if none is known to be. */
  get round(): Decoded<Round> | undefined {
    return this.stored;
  }

  /** What is left, below zero if more was counted than there was; undefined if no round can be read. */
  get left(): number | undefined {
    if (this.stored?.ok !== true) return undefined;
    const { total, over } = this.stored.record;
    return over === true ? 0 : this.counted.reduce((left, { done }) => left - done, total);
  }

  get isZero(): boolean {
    return (this.left ?? 1) <= 0;
  }

  /** How much each client has counted in this round. An unreadable share counts for nothing, so no waiter continues early. */
  get counted(): Share[] {
    const round = this.stored?.ok === true ? this.stored.record.round : undefined;
    return [...this.shares.values()].flatMap((share) =>
      share.ok && share.record.round === round ? [share.record] : [],
    );
  }

  /** How much a client has counted in this round. */
  doneBy(key: string): number {
    const share = this.shares.get(key);
    const current = this.stored?.ok === true ? this.stored.record.round : undefined;
    return share?.ok === true && share.record.round === current ? share.record.done : 0;
  }

  /** Shares that stand, readable or not. */
  get standing(): Entry[] {
    return [...this.picture.entries()].filter(({ key, value }) => value !== null && this.shares.has(key));
  }

  /** Keys whose value can not be read, with the reason. */
  get corrupt(): [string, string][] {
    const all: [string, Decoded<unknown> | undefined][] = [[this.keys.round, this.stored], ...this.shares];
    return all.flatMap(([key, decoded]) => (decoded?.ok === false ? [[key, decoded.reason]] : []));
  }

  private reread(key: string, known: Known | undefined): void {
    const value = known?.value ?? null;
    if (key === this.keys.round) {
      this.stored = value === null ? undefined : decodeRound(value, known);
    } else if (key.startsWith(this.keys.share(''))) {
      if (value === null) this.shares.delete(key);
      else this.shares.set(key, decodeShare(value, known));
    }
  }
}
