/**
 * The port between the engine and the storage of the entries. A store is a set of keys. Each key has at most one value,
 * written under a revision. Revisions come from one counter for the whole store and only ever grow. Keys are tokens joined
 * by dots. In a pattern of keys `*` stands for one token and a final `>` for the rest.
 */

import type { Aborting } from '../runtime/cancellation';
import type { StoreFullError } from '../errors';

/** The latest known state of a key. */
export interface Entry {
  readonly key: string;
  /** Revision under which it was written. */
  readonly revision: number;
  /** The value, or null if this is the marker that a removal or an expiry leaves behind. */
  readonly value: string | null;
  /** Why this is not a valid entry of the protocol. It then counts as taken, and its value has no meaning. */
  readonly fault?: string | undefined;
  /** How long the store keeps the entry after it was written, in ms; undefined: until it is written over. */
  readonly ttl?: number | undefined;
  /** When the store wrote it, by the store's wall clock, in ms since 1970. For people to read. */
  readonly writtenAt: number;
}

/** A write that takes effect only if a key has `expected` as its last revision: the key that it writes to, or another key. */
export interface Write {
  readonly key: string;
  /** The key's last revision, that of a removal marker included; 0 if there is nothing under the key. */
  readonly expected: number;
  /**
   * Another key, to which `expected` then applies. `key` must then be new, and no other client may ever write to it. Such writes
   * neither disturb nor see each other, but the store keeps one order between them and the writes to the other key.
   */
  readonly expectedOf?: string;
  /** The new value; null removes the key and leaves a marker. */
  readonly value: string | null;
  /**
   * How long the value or the marker stays if nothing is written over it, in ms. A store may round it up. Absent: for ever.
   * A marker needs one: see {@link Store.markerTtl}.
   */
  readonly ttl?: number;
  /** The ttl of the entry that this write replaces, in ms. If the write is withdrawn, its marker outlives that entry. */
  readonly replaces?: number;
}

export type CommitResult =
  | {
      readonly committed: true;
      /** The revision of each write, in order. */
      readonly revisions: readonly number[];
      /** Reading of the clock before the first attempt was sent: no TTL of these writes began earlier. */
      readonly sentAt: number;
    }
  | {
      readonly committed: false;
      /** Of a single write: the last revision of the key it depends on, if the store named it. 0: the key has no entry. */
      readonly actual?: number;
      /**
       * Set if the write was given up, and is known neither to have been written nor to be written later. `unsent`: its key is
       * unchanged. `superseded`: a removal marker stands in its place.
       */
      readonly withdrawn?: 'unsent' | 'superseded';
    };

export interface CommitOptions {
  /** Reading of the clock at which to give up. Default: never. */
  readonly until?: number;
  /**
   * Aborted when the outcome is no longer wanted. A pending attempt is still resolved: the result says truly
   * whether the writes happened.
   */
  readonly abandon?: Aborting;
  /** Whether it goes before other requests that wait for their turn. For writes with a deadline, such as a renewal. Default false. */
  readonly urgent?: boolean;
}

export interface Listener {
  /** A key changed. The call may come late, twice, or out of order between keys; never out of order for one key. */
  changed(entry: Entry): void;
  /** Changes may have been missed: read again. */
  interrupted(): void;
}

/** Number of commits whose answer did not come, and how many of their outcomes were found out later. */
export interface WriteCounts {
  unanswered: number;
  resolved: number;
}

export interface Store {
  /** Present in a store with a network that can lose answers. */
  readonly counts?: Readonly<WriteCounts>;
  /**
   * Opens the store and creates what it needs. Every operation also does so by itself.
   * @throws UnsupportedServerError, BucketConfigError, PermissionDeniedError, BackendUnavailableError
   */
  ready(): Promise<void>;
  /**
   * Does all of the writes or none. If an answer never comes, the outcome is found out by the writes' own id, never guessed.
   * @throws BackendUnavailableError when `until` passes with the outcome unknown. The writes may have happened, and then
   *   last no longer than their TTL.
   */
  commit(writes: readonly Write[], options?: CommitOptions): Promise<CommitResult>;
  /**
   * The entries under the patterns, removal markers included, as fresh as any write or listener event seen before.
   * @throws BackendUnavailableError
   */
  read(patterns: readonly string[], options?: { until?: number }): Promise<readonly Entry[]>;
  /** Passes every change under a pattern to the listener, from now on. The returned function ends it. */
  listen(patterns: readonly string[], listener: Listener): () => void;
  /** Calls back when all entries disappear at once: the bucket was deleted or replaced. The returned function ends it. */
  onReset(callback: () => void): () => void;
  /**
   * How long a marker must stay that is written over an entry with that ttl, in ms. While the marker stays, the entry under it can
   * not come back, whatever happens to the store.
   */
  markerTtl(ttl: number): number;
  /** Why the store can not be reached at this moment; undefined while it can, as far as is known. */
  down(): Error | undefined;
  /** Why the store takes no writes for now: it is full. Undefined once it has taken a write again. */
  refusal(): StoreFullError | undefined;
  /** Whether requests wait until others are answered. A slow request then says nothing about the health of the store. */
  isCongested(): boolean;
  /** Why the store seems out of reach: it is down, or did not answer when it was last asked. */
  trouble(): Error | undefined;
  /** Whether the store can never be reached again. */
  isClosed(): boolean;
  /** Stops listening and waiting. Holds nothing afterwards. */
  close(): Promise<void>;
}

/**
 * How long the marker of an expiry stays, in ms: the shortest TTL of the server. Nothing comes back from under it, since the entry
 * that it replaces has run out. When a marker expires, the key's revision is 0.
 */
export const MARKER_TTL_MS = 1_000;

/** How long the server keeps an entry with a ttl, in ms: the server counts whole seconds, and we round up. */
export function storedTtl(ttl: number): number {
  return Math.ceil(ttl / 1_000) * 1_000;
}
