import { Command } from 'commander';
import { does } from '../command';
import { withDispatcher } from '../connection-options';
import { EXIT, ExitError } from '../exit-codes';
import { nameArgument } from '../name-argument';
import { type Kind, findAll, kindOption } from '../primitives';

/** `rm NAME`: removes everything of a primitive from the bucket. */
export function rmCommand(): Command {
  const command = new Command('rm')
    .description('remove all entries of a primitive, with its stored limit; refused while it is in use')
    .addArgument(nameArgument('of the primitive'))
    .option('--force', 'take permits away and end waiters')
    .addOption(kindOption());
  return does<{ kind?: Kind; force?: boolean }>(command, async ({ flags, operands: [name = ''], output }) => {
    const removed = await withDispatcher(flags, async (dispatcher) => {
      const kinds: Kind[] = [];
      for (const one of await findAll(dispatcher, name, flags.kind)) {
        if (await dispatcher.remove(one, { force: flags.force === true })) kinds.push(one.kind);
      }
      return kinds;
    });
    if (removed.length === 0)
      throw new ExitError(EXIT.failure, `nothing is called ${JSON.stringify(name)}`, 'NOT_FOUND');
    output.print({ name, kinds: removed }, () => `Removed: ${removed.join(', ')} ${JSON.stringify(name)}.`);
  });
}
