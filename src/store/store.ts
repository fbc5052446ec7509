/**
 * The port between the engine and what keeps the entries. A store is a set of keys; each key has at most one value,
 * written under a revision. Revisions come from one counter for the whole store and only ever grow. Keys are tokens joined
 * by dots; in a pattern of keys `*` stands for one token and a final `>` for the rest.
 */

import type { Aborting } from '../runtime/cancellation';
import type { StoreFullError } from '../errors';

/** The latest thing known of a key. */
export interface Entry {
  readonly key: string;
  /** Revision under which it was written. */
  readonly revision: number;
  /** The value, or null if this is the marker that a removal or an expiry leaves behind. */
  readonly value: string | null;
  /** Why this can be no entry of the protocol, whatever its value: then it counts as taken, and the value means nothing. */
  readonly fault?: string | undefined;
  /** How long the store keeps it, counted from when it was written, in ms; undefined: until it is written over. */
  readonly ttl?: number | undefined;
  /** When the store wrote it, by the store's wall clock, in ms since 1970. For people to read. */
  readonly writtenAt: number;
}

/** A write that takes effect only if a key's last revision is `expected`: that of the key it writes to, or of another. */
export interface Write {
  readonly key: string;
  /** The key's last revision, that of a removal marker included; 0 if there is nothing under the key. */
  readonly expected: number;
  /**
   * Another key, whose last revision `expected` is instead. Then `key` must be one that nobody else ever writes to, and new:
   * such writes neither disturb nor see each other, but between them and writes to the other key the store keeps one order.
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
      /** Of each write, in order. */
      readonly revisions: readonly number[];
      /** Reading of the clock before the first attempt was sent: no TTL of these writes began earlier. */
      readonly sentAt: number;
    }
  | {
      readonly committed: false;
      /** Of a single write: the last revision of the key it depends on, where the store said it. 0: there is nothing there. */
      readonly actual?: number;
      /**
       * It was given up, and is known not to have been written nor to be going to be. `unsent`: its key is as it was. `superseded`: the
       * marker of a removal stands in its place.
       */
      readonly withdrawn?: 'unsent' | 'superseded';
    };

export interface CommitOptions {
  /** Reading of the clock at which to give up. Default: never. */
  readonly until?: number;
  /**
   * Aborted when the outcome is no longer wanted. An attempt already under way is still resolved: the result says
   * truly whether the writes happened.
   */
  readonly abandon?: Aborting;
  /** Whether it goes before others that wait for their turn. Default false. For what has a deadline of its own, as a renewal has. */
  readonly urgent?: boolean;
}

export interface Listener {
  /** A key changed. May come late, twice, or out of order between keys; never out of order for one key. */
  changed(entry: Entry): void;
  /** Changes may have been missed: read again. */
  interrupted(): void;
}

/** Commits whose answer did not come, and those of them of which it was found out what became of them. */
export interface WriteCounts {
  unanswered: number;
  resolved: number;
}

export interface Store {
  /** Where there is a network to lose answers. */
  readonly counts?: Readonly<WriteCounts>;
  /**
   * Opens the store, creating what it needs; every operation does so by itself.
   * @throws UnsupportedServerError, BucketConfigError, PermissionDeniedError, BackendUnavailableError
   */
  ready(): Promise<void>;
  /**
   * Does all of the writes or none. An answer that never comes is found out by the writes' own id, never guessed.
   * @throws BackendUnavailableError when `until` passes with the outcome unknown: the writes may have happened, and
   *   last no longer than their TTL.
   */
  commit(writes: readonly Write[], options?: CommitOptions): Promise<CommitResult>;
  /**
   * The entries under the patterns, removal markers included, as fresh as any write or listener event seen before.
   * @throws BackendUnavailableError
   */
  read(patterns: readonly string[], options?: { until?: number }): Promise<readonly Entry[]>;
  /** Tells of every change under a pattern from now on. The returned function ends it. */
  listen(patterns: readonly string[], listener: Listener): () => void;
  /** Calls back when all entries are gone at once: the bucket was deleted, or replaced. Returns how to stop that. */
  onReset(callback: () => void): () => void;
  /**
   * How long the marker has to stay that is written over an entry with that ttl, in ms. Until it goes, the entry under it can not
   * come back, whatever happens to the store.
   */
  markerTtl(ttl: number): number;
  /** Why nothing can be asked of the store at this moment; undefined while it can, as far as is known. */
  down(): Error | undefined;
  /** Why the store takes no writes for now: it is full. Undefined as soon as it has taken one again. */
  refusal(): StoreFullError | undefined;
  /** Whether requests wait for others to be answered: that one takes long says nothing about the store then. */
  isCongested(): boolean;
  /** Why the store seems out of reach: it is down, or did not answer when it was last asked. */
  trouble(): Error | undefined;
  /** Whether the store can never be reached again. */
  isClosed(): boolean;
  /** Stops listening and waiting. Holds nothing afterwards. */
  close(): Promise<void>;
}

/**
 * How long the marker of an expiry stays, in ms: the shortest TTL of the server. Nothing comes back from under it, since what it
 * replaces has run out. When a marker goes, the key's revision is 0.
 */
export const MARKER_TTL_MS = 1_000;

/** How long the server keeps what is stored with a ttl, in ms: it counts whole seconds, and we round up. */
export function storedTtl(ttl: number): number {
  return Math.ceil(ttl / 1_000) * 1_000;
}
