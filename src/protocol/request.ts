/** How a differing number of slots in the code and in the bucket is dealt with. */
export type LimitPolicy = 'error' | 'adopt' | 'set';

/** What an acquire asks for. */
export interface Want {
  /** How many slots, or all that are free. */
  readonly count: number | 'all free';
  readonly ttl: number;
  readonly autoRenew: boolean;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** For how long this process keeps the slot after a release, in ms; 0: it is given back at once. */
  readonly retain: number;
  /** Whether it queues with a ticket that other processes see. */
  readonly fair: boolean;
  /** The number of slots as the code has it; undefined: whatever is stored. */
  readonly slots: number | undefined;
  readonly limitPolicy: LimitPolicy;
  /** After how long without use a limit goes that is stored for this, in ms; undefined: never. */
  readonly forgetAfter?: number | undefined;
  /** Of a read-write lock: which side. */
  readonly mode?: 'read' | 'write';
}

export interface Patience {
  /** Ms to wait; 0: take what is free, do not wait; undefined: wait for ever. */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}
