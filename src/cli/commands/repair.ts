import { Command } from 'commander';
import { isoTime } from '../../runtime/clock';
import { type CommonFlags, does } from '../command';
import { withDispatcher } from '../connection-options';
import { table } from '../view/table';

interface Flags extends CommonFlags {
  readonly remove?: boolean;
}

/** `repair`: finds what can not be read in the bucket, and removes it. */
export function repairCommand(): Command {
  const command = new Command('repair')
    .description('find the entries of the bucket that can not be read; a newer version may have written them')
    .option('--remove', 'remove them, each as it was found');
  return does<Flags>(command, async ({ flags, output }) => {
    const found = await withDispatcher(flags, (dispatcher) =>
      dispatcher.repair({ remove: flags.remove === true }),
    );
    const shown = found.map(({ writtenAt, ...entry }) => ({
      ...entry,
      writtenAt: isoTime(writtenAt),
    }));
    output.print(shown, () =>
      shown.length === 0
        ? 'Every entry can be read.'
        : table(
            ['KEY', 'REVISION', 'WRITTEN', 'REMOVED', 'REASON'],
            shown.map(({ key, revision, writtenAt, removed, reason }) => [
              key,
              String(revision),
              writtenAt,
              removed ? 'yes' : 'no',
              reason,
            ]),
          ),
    );
  });
}
