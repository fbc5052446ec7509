import { Command } from 'commander';
import { type CommonFlags, does } from '../command';
import { withDispatcher } from '../connection-options';
import { summaryTable } from '../view/summary-table';

/** `list`: what there is in the bucket. */
export function listCommand(): Command {
  const command = new Command('list').description('list what there is in the bucket');
  return does<CommonFlags>(command, async ({ flags, output }) => {
    const all = await withDispatcher(flags, (dispatcher) => dispatcher.list());
    output.print(all, () => summaryTable(all));
  });
}
