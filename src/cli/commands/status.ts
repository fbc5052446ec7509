import { Command } from 'commander';
import { does } from '../command';
import { withDispatcher } from '../connection-options';
import { EXIT, ExitError } from '../exit-codes';
import { nameArgument } from '../name-argument';
import { type AnyStatus, type Kind, findAll, handleOf, kindOption } from '../primitives';
import { statusText } from '../view/status-text';

/** `status NAME`: who holds, who waits. */
export function statusCommand(): Command {
  const command = new Command('status')
    .description('show who holds and who waits')
    .addArgument(nameArgument('of the primitive'))
    .addOption(kindOption());
  return does<{ kind?: Kind }>(command, async ({ flags, operands: [name = ''], output }) => {
    const found = await withDispatcher(flags, async (dispatcher) => {
      const all = await findAll(dispatcher, name, flags.kind);
      return Promise.all(all.map((one) => handleOf(dispatcher, one).status()));
    });
    if (found.length === 0) throw nothingCalled(name);
    output.print(found, () => found.map((status: AnyStatus) => statusText(status)).join('\n\n'));
  });
}

/** Nothing holds, waits for or has set anything of that name. */
export function nothingCalled(name: string): ExitError {
  return new ExitError(EXIT.failure, `there is nothing called ${JSON.stringify(name)}`, 'NOT_FOUND');
}
