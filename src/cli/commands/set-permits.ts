import { Argument, Command } from 'commander';
import { checkSlots } from '../../api/option-checks';
import { type CommonFlags, does } from '../command';
import { parseWhole, withDispatcher } from '../connection-options';
import { nameArgument } from '../name-argument';

/** `set-permits NAME N`: another number of slots, for all, now. */
export function setPermitsCommand(): Command {
  const command = new Command('set-permits')
    .description('change the number of slots of a semaphore, for all who use it, now')
    .addArgument(nameArgument('of the semaphore'))
    .addArgument(new Argument('<n>', 'slots: 1 to 10,000').argParser(slotsOf));
  return does<CommonFlags>(command, async ({ flags, operands: [name = '', n = ''], output }) => {
    const slots = slotsOf(n);
    await withDispatcher(flags, (dispatcher) => dispatcher.semaphore(name).setPermits(slots));
    output.print({ name, slots }, () => `${name} has ${slots} ${slots === 1 ? 'slot' : 'slots'} now.`);
  });
}

const slotsOf = (text: string): number => checkSlots(parseWhole(text));
