/** Something that must never be. */
export interface Violation {
  readonly kind: string;
  readonly at: number;
  readonly message: string;
  /** Permits concerned. */
  readonly permits: readonly string[];
  /** The primitive concerned. */
  readonly name?: string;
  /** The client concerned. */
  readonly client?: string;
}
