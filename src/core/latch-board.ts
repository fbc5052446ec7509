import type { Entry } from '../store/store';
import { encodeName } from './name';
import { Picture } from './picture';
import { type Decoded, decodeVersioned, isWhole } from './record';

/** Value of a latch: one round of counting down. */
export interface Round {
  /** Id of the round. */
  readonly round: string;
  /** What it counts down from. */
  readonly total: number;
  /** It has reached zero. The shares of those who counted may be gone then. */
  readonly over?: boolean;
}

/** Value of a share: how much one client has counted down in a round, all together. */
export interface Share {
  readonly round: string;
  readonly done: number;
  /** Who counted, for people. */
  readonly holder: string;
}

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

/** What is known of one latch, read as what it means. */
export class LatchBoard {
  readonly picture = new Picture((key, known) => this.reread(key, known?.value ?? null));
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

  /** Who has counted how much in this round. What can not be read counts for nothing: nobody is let go early. */
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

  private reread(key: string, value: string | null): void {
    if (key === this.keys.round) {
      this.stored = value === null ? undefined : decodeRound(value);
    } else if (key.startsWith(this.keys.share(''))) {
      if (value === null) this.shares.delete(key);
      else this.shares.set(key, decodeShare(value));
    }
  }
}

function decodeRound(value: string): Decoded<Round> {
  return decodeVersioned<Round>(value, ({ round, total, over }) => {
    if (typeof round !== 'string' || round === '') return 'round is not a non-empty string';
    if (!isWhole(total) || total < 1) return 'total is not a whole number above 0';
    if (over !== undefined && typeof over !== 'boolean') return 'over is not true or false';
    return { round, total, over };
  });
}

function decodeShare(value: string): Decoded<Share> {
  return decodeVersioned<Share>(value, ({ round, done, holder }) => {
    if (typeof round !== 'string' || round === '') return 'round is not a non-empty string';
    if (!isWhole(done) || done < 1) return 'done is not a whole number above 0';
    if (typeof holder !== 'string') return 'holder is not a string';
    return { round, done, holder };
  });
}
