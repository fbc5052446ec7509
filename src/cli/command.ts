import type { Command } from 'commander';
import type { ConnectionFlags } from './connection-options';
import { Output } from './output';

/** The options that every command has, wherever on the line they were given. */
export interface CommonFlags extends ConnectionFlags {
  readonly json?: boolean;
}

/** What a command is run with. */
export interface Invocation<Flags> {
  readonly flags: CommonFlags & Flags;
  readonly output: Output;
  /** The operands, after `--` too. */
  readonly operands: readonly string[];
  /** As commander has it. */
  readonly command: Command;
}

/** How a command ends: with the exit status, or 0 if it says nothing. */
export type Action<Flags> = (invocation: Invocation<Flags>) => Promise<number | void>;

/** Sets what a command does. */
export function does<Flags>(command: Command, action: Action<Flags>): Command {
  return command.action(async () => {
    const flags: CommonFlags & Flags = command.optsWithGlobals();
    const output = new Output(flags.json === true);
    const status = await action({ flags, output, operands: command.args, command });
    if (status !== undefined) process.exitCode = status;
  });
}
