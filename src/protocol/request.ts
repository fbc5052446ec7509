/** What to do if the number of slots in the code differs from the one in the bucket. */
export type LimitPolicy = 'error' | 'adopt' | 'set';

/** What an acquire asks for. */
export interface Want {
  /** Number of slots, or all free slots. */
  readonly count: number | 'all free';
  readonly ttl: number;
  readonly autoRenew: boolean;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** How long this process retains the slot after a release, in ms; 0: the slot is given back at once. */
  readonly retain: number;
  /** Whether the waiter queues with a ticket that other processes see. */
  readonly fair: boolean;
  /** The number of slots in the code; undefined: the stored number. */
  readonly slots: number | undefined;
  readonly limitPolicy: LimitPolicy;
  /** After how long without use a limit that this acquire stores expires, in ms; undefined: never. */
  readonly forgetAfter?: number | undefined;
  /** Of a read-write lock: which side. */
  readonly mode?: 'read' | 'write';
}

export interface Patience {
  /** How long to wait, in ms; 0: take a free slot or fail, without waiting; undefined: wait for ever. */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}
