#!/usr/bin/env node
import { constants } from 'node:os';
import { CommanderError } from 'commander';
import { EXIT, ExitError, UsageError, exitCodeOf } from './exit-codes';
import { Output } from './output';
import { buildProgram, withoutValue } from './program';

/** The command line `nats-semaphore`. What it does is in `commands`, one file each. */
async function main(argv: readonly string[]): Promise<void> {
  // Also if it is the arguments that can not be made sense of.
  const json = argv.slice(0, argv.includes('--') ? argv.indexOf('--') : undefined).includes('--json');
  // As a program that does not care about SIGPIPE ends, when who reads its output has gone.
  process.stdout.on('error', () => process.exit(EXIT.signal + constants.signals.SIGPIPE));
  const program = buildProgram(json);
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    process.exitCode = exitCodeOf(error);
    // People have been told by commander already, with how to get help.
    if (error instanceof CommanderError && (!json || process.exitCode === 0)) return;
    new Output(json).fail(error instanceof CommanderError ? toUsageError(error) : error);
    // A signal has ended it: an attempt to connect may still be under way.
    if (error instanceof ExitError) process.exit();
  }
}

function toUsageError({ code, message }: CommanderError): UsageError {
  return new UsageError(
    code === 'commander.help' ? 'no command is given' : withoutValue(message.replace(/^error: /, '')),
  );
}

void main(process.argv.slice(2));
