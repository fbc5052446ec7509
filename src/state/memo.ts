/**
 * What is worth remembering of a primitive that nobody uses at the moment, in a hundredth of the memory that its engine
 * takes: enough that the next acquire costs no round trip more.
 */
export interface Memo {
  limit: RememberedLimit | undefined;
  /** A slot that was free when we last knew: the marker under its key, and when that was heard of. */
  free:
    | {
        readonly slot: number;
        readonly revision: number;
        readonly ttl: number | undefined;
        readonly heardAt: number;
      }
    | undefined;
}

export interface RememberedLimit {
  readonly slots: number;
  readonly forgetAfter: number | undefined;
  /** Reading of the clock when it was last stored, as far as this process has seen it happen. */
  readonly storedAt: number;
  readonly revision: number;
  /** Other numbers in the code that were dealt with; undefined: none. */
  readonly accepted: readonly number[] | undefined;
  /** Whether it is the one in force, as far as anybody told. */
  current: boolean;
}
