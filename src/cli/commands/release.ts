import { Command } from 'commander';
import { does } from '../command';
import { withDispatcher } from '../connection-options';
import { EXIT, ExitError } from '../exit-codes';
import { nameArgument } from '../name-argument';
import { type Kind, findAll, handleOf, kindOption } from '../primitives';

/** `release NAME PERMIT_ID`: takes a permit away from whoever holds it. */
export function releaseCommand(): Command {
  const command = new Command('release')
    .description('take a permit away from its holder; others may have its slots before that has stopped')
    .addArgument(nameArgument('of the primitive'))
    .argument('<permit-id>', 'as status shows it')
    .addOption(kindOption());
  return does<{ kind?: Kind }>(command, async ({ flags, operands: [name = '', permitId = ''], output }) => {
    const kind = await withDispatcher(flags, async (dispatcher) => {
      for (const one of await findAll(dispatcher, name, flags.kind)) {
        if (await handleOf(dispatcher, one).forceRelease?.(permitId)) return one.kind;
      }
      throw new ExitError(
        EXIT.failure,
        `nobody holds permit ${permitId} of ${JSON.stringify(name)}`,
        'NOT_FOUND',
      );
    });
    output.print({ name, kind, permitId, released: true }, () => `Permit ${permitId} was released.`);
  });
}
