/** What `run` and its keeper say to each other. */

/** Start the command. Said only with a permit in hand. */
export interface Start {
  readonly type: 'start';
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Whether the command stays in the process group of `run`. */
  readonly foreground: boolean;
  /** Ms between SIGTERM and SIGKILL. */
  readonly grace: number;
  readonly deadline: number;
}

/** The permit is held until then, on the clock of the machine: end everything if nothing newer is heard before. */
export interface Hold {
  readonly type: 'hold';
  readonly deadline: number;
}

/** Nothing is left to look after. */
export interface Done {
  readonly type: 'done';
}

export type ToKeeper = Start | Hold | Done;

export type FromKeeper =
  | { readonly type: 'started'; readonly pid: number }
  | { readonly type: 'not-started'; readonly code: string; readonly message: string }
  | {
      readonly type: 'ended';
      readonly code: number | null;
      readonly signal: NodeJS.Signals | null;
      /** Whether the keeper had begun to end it. */
      readonly byKeeper: boolean;
    };
