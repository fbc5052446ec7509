import { isoTime } from '../runtime/clock';
import { newId } from '../runtime/id';
import { type Hold, decodeHold, encodeRecord } from './records';
import type { Want } from './request';

/** Encodes the values that a lease writes under its keys. */
export interface LeaseRecord {
  /** Id of the permit, or of the ticket. */
  readonly id: string;
  /**
   * The value to write under a key.
   * @param ttl in ms
   * @param token the revision that the lease began with
   * @param after the permit whose hold is written over, if it is another one
   */
  encode(key: string, ttl: number, token: number, after?: string): string;
  /** Whether a value under one of the keys belongs to this lease. */
  owns(value: string): boolean;
}

/** The hold of a new permit. @param since by the wall clock @param retain how long the slot is retained after the release, in ms */
export function newHold(
  permit: string,
  holder: string,
  since: number,
  { metadata, ttl }: Want,
  retain: number,
): Hold {
  return {
    permit,
    holder,
    since: isoTime(since),
    ttl,
    ...(retain === 0 ? {} : { retain }),
    ...(metadata === undefined ? {} : { meta: metadata }),
  };
}

/**
 * The record of a permit's lease.
 * @param permit its id; undefined: the id is made on first use
 * @param holdOf the permit's hold as it is to stand under a key
 */
export function recordOf(
  permit: string | undefined,
  holdOf: (key: string, permit: string) => Hold,
  use?: number,
): LeaseRecord {
  return new PermitRecord(permit, holdOf, use);
}

class PermitRecord implements LeaseRecord {
  constructor(
    private permit: string | undefined,
    private readonly holdOf: (key: string, permit: string) => Hold,
    private readonly use: number | undefined,
  ) {}

  get id(): string {
    return (this.permit ??= newId());
  }

  encode(key: string, ttl: number, token: number, after?: string): string {
    return encodeRecord({ ...this.holdOf(key, this.id), ttl, token, use: this.use, after });
  }

  owns(value: string): boolean {
    const decoded = decodeHold(value);
    return decoded.ok && decoded.record.permit === this.id;
  }
}
