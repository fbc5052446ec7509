import { Command, Option } from 'commander';
import { listCommand } from './commands/list';
import { runCommand } from './commands/run';
import { connectionOptions } from './connection-options';
import { version } from './version';

/**
 * All commands. Options for connection and output may stand before or after the command's name.
 * @param quiet whether to say nothing of wrong arguments beside throwing
 */
export function buildProgram(quiet = false): Command {
  const program = new Command('nats-semaphore')
    .description('Semaphores, mutexes and latches on a NATS JetStream KV bucket.')
    .version(version(), '--version')
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showHelpAfterError('(--help says more)')
    .configureOutput(quiet ? { writeErr: () => undefined } : {})
    .exitOverride();
  program.optionsGroup('Output:').addOption(new Option('--json', 'one JSON value a line'));
  program.optionsGroup('Connection:');
  for (const option of connectionOptions()) program.addOption(option);
  for (const command of [runCommand(), listCommand()]) {
    program.addCommand(command.copyInheritedSettings(program));
  }
  return program;
}
