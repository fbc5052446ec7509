/**
 * What is remembered of a primitive that is not used at the moment, in a hundredth of the memory that its engine
 * takes. It is enough that the next acquire needs no additional round trip.
 */
export interface Memo {
  limit: RememberedLimit | undefined;
  /** A slot that was free when last seen: the marker under its key, and when this process received that. */
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
  /** Reading of the clock when the limit was last stored, as far as this process has seen. */
  readonly storedAt: number;
  readonly revision: number;
  /** Other numbers in the code that were settled; undefined: none. */
  readonly accepted: readonly number[] | undefined;
  /** Whether it is the limit in force, as far as this process knows. */
  current: boolean;
}
