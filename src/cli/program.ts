import { Command, Option } from 'commander';
import { dashboardCommand } from './commands/dashboard';
import { listCommand } from './commands/list';
import { releaseCommand } from './commands/release';
import { rmCommand } from './commands/rm';
import { repairCommand } from './commands/repair';
import { runCommand } from './commands/run';
import { serveCommand } from './commands/serve';
import { serverCommand } from './commands/server';
import { setPermitsCommand } from './commands/set-permits';
import { statusCommand } from './commands/status';
import { watchCommand } from './commands/watch';
import { connectionOptions } from './connection-options';
import { version } from '../runtime/version';

const COMMANDS = [
  runCommand,
  listCommand,
  statusCommand,
  watchCommand,
  setPermitsCommand,
  releaseCommand,
  rmCommand,
  repairCommand,
  serveCommand,
  dashboardCommand,
  serverCommand,
];

/**
 * All commands. Options for connection and output may stand before or after the command's name.
 * @param quiet whether to say nothing of wrong arguments beside throwing
 */
export function buildProgram(quiet = false): Command {
  const program = new Command('nats-semaphore')
    .description('Semaphores, mutexes, read-write locks and latches on a NATS JetStream KV bucket.')
    .version(version(), '--version')
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showHelpAfterError('(--help says more)')
    .configureOutput({
      ...(quiet && { writeErr: () => undefined }),
      outputError: (text, write) => write(withoutValue(text)),
    })
    .exitOverride();
  program.optionsGroup('Output:').addOption(new Option('--json', 'one JSON value a line'));
  program.optionsGroup('Connection:');
  for (const option of connectionOptions()) program.addOption(option);
  for (const make of COMMANDS) program.addCommand(make().copyInheritedSettings(program));
  return program;
}

/** What commander says of an unknown option, without the value behind its `=`: it may be a mistyped password. */
export function withoutValue(message: string): string {
  return message.replace(/(unknown option '-[^=']*)=[^]*'/, "$1'");
}
