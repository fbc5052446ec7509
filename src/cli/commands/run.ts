import { Command, InvalidArgumentError, Option } from 'commander';
import { type Invocation, does } from '../command';
import { connectOptionsOf, parseWhole } from '../connection-options';
import { NatsDispatcher } from '../../api/dispatcher';
import type { AcquireOptions } from '../../api/options';
import {
  DEFAULT_TTL_MS,
  checkCount,
  checkHolder,
  checkMetadata,
  checkSlots,
  checkTtl,
} from '../../api/option-checks';
import type { Lock } from '../../api/lock';
import { parseDuration } from '../durations';
import { nameArgument } from '../name-argument';
import { EXIT, ExitError, UsageError } from '../exit-codes';
import { withoutLogin } from '../run/command-environment';
import { Interruption } from '../run/interruption';
import { KeeperLink } from '../run/keeper-link';
import { supervise } from '../run/supervise';
import { type Terms, termsOf } from '../run/terms';

interface RunFlags {
  readonly slots?: number;
  readonly mutex?: boolean;
  readonly read?: boolean;
  readonly write?: boolean;
  readonly count?: number;
  readonly timeout?: number;
  readonly ttl: number;
  readonly grace?: number;
  readonly fair?: boolean;
  readonly limitPolicy?: 'error' | 'adopt' | 'set';
  readonly holder?: string;
  readonly meta?: Record<string, string>;
  readonly foreground?: boolean;
  readonly passLogin?: boolean;
}

// Refused before anything is connected to, and in the library's own words.
const SLOTS = (text: string): number => checkSlots(parseWhole(text));
const COUNT = (text: string): number => checkCount(parseWhole(text));
const TTL = (text: string): number => checkTtl(parseDuration(text));

const OF_SEMAPHORES = ['slots', 'count', 'limitPolicy'];

/** `run NAME -- COMMAND ARG...`: any command under a permit. */
export function runCommand(): Command {
  const command = new Command('run')
    .description('run a command under a permit')
    .usage('[options] <name> -- <command> [args...]')
    .addArgument(nameArgument('of the semaphore, mutex or read-write lock'))
    .argument('<command...>', 'with its arguments, after --')
    .addOption(
      new Option('--slots <n>', 'how many may run at once (default: the stored number, or 1)').argParser(
        SLOTS,
      ),
    )
    .addOption(new Option('--mutex', 'a mutex: one at a time').conflicts([...OF_SEMAPHORES, 'read', 'write']))
    .addOption(
      new Option('--read', 'a read-write lock, to read: any number at a time').conflicts([
        ...OF_SEMAPHORES,
        'write',
      ]),
    )
    .addOption(
      new Option('--write', 'a read-write lock, to write: one, and nobody reads').conflicts(OF_SEMAPHORES),
    )
    .addOption(new Option('--count <n>', 'slots to take together (default: 1)').argParser(COUNT))
    .addOption(
      new Option('--timeout <duration>', 'how long to wait for the permit (default: for ever)').argParser(
        parseDuration,
      ),
    )
    .addOption(
      new Option('--ttl <duration>', 'how long a permit survives without renewal')
        .argParser(TTL)
        .default(DEFAULT_TTL_MS, '30s'),
    )
    .addOption(
      new Option(
        '--grace <duration>',
        'between SIGTERM and SIGKILL (default: a quarter of the ttl, at most 5s)',
      ).argParser(parseDuration),
    )
    .option('--fair', 'queue with all others who wait')
    .addOption(
      new Option('--limit-policy <policy>', 'if --slots is not what is stored (default: "error")').choices([
        'error',
        'adopt',
        'set',
      ]),
    )
    .addOption(
      new Option('--holder <text>', 'who holds it, in status views (default: host:pid)').argParser(
        checkHolder,
      ),
    )
    .addOption(
      new Option('--meta <key=value>', 'shown in status views; may be given again').argParser(addMeta),
    )
    .option('--foreground', 'leave the command in this process group, for one that uses the terminal')
    .option('--pass-login', 'hand the login to NATS to the command, in its environment');
  return does<RunFlags>(command, run);
}

async function run(invocation: Invocation<RunFlags>): Promise<number> {
  const { flags, output } = invocation;
  if (process.platform === 'win32') {
    throw new ExitError(
      EXIT.failure,
      'run needs process groups, which Windows has not',
      'UNSUPPORTED_PLATFORM',
    );
  }
  const [name, command, ...args] = operandsOf(invocation);
  const terms = termsOf(flags.ttl, flags.grace);
  const foreground = flags.foreground === true;
  using interruption = new Interruption(foreground);
  const keeper = new KeeperLink({ foreground });
  try {
    const dispatcher = await connected(invocation, terms, interruption);
    try {
      const permit = await lockOf(dispatcher, name, flags).acquire({
        ...acquireOptionsOf(flags),
        signal: interruption.signal,
      });
      interruption.signal.throwIfAborted();
      output.note({
        event: 'acquired',
        name,
        permitId: permit.id,
        slots: permit.slots,
        fencingToken: permit.fencingToken,
      });
      interruption.passTo(keeper);
      const passed = flags.passLogin === true ? process.env : withoutLogin(process.env);
      return await supervise({ name, command, args, env: passed, terms }, permit, keeper, output);
    } finally {
      // Releases the permit: what ran under it is gone.
      await dispatcher.close();
    }
  } finally {
    keeper.done();
  }
}

/** Without the `--` an option of the command would be taken for ours. */
function operandsOf({ command, operands }: Invocation<RunFlags>): [string, string, ...string[]] {
  const given: string[] = (command.parent as Command & { rawArgs: string[] }).rawArgs;
  const after = given.includes('--') ? given.slice(given.indexOf('--') + 1) : [];
  const [name, first, ...rest] = operands;
  if (name === undefined || first === undefined || after.length !== operands.length - 1) {
    throw new UsageError('the command to run stands after --: run NAME [options] -- COMMAND [ARG...]');
  }
  return [name, first, ...rest];
}

async function connected(
  { flags }: Invocation<RunFlags>,
  { safetyMargin, ttl }: Terms,
  interruption: Interruption,
): Promise<NatsDispatcher> {
  const { holder } = flags;
  const connecting = NatsDispatcher.connect({ ...connectOptionsOf(flags), holder, safetyMargin, ttl });
  try {
    return await Promise.race([connecting, interruption.interrupted]);
  } catch (error) {
    void connecting.then((dispatcher) => dispatcher.close()).catch(() => undefined);
    throw error;
  }
}

function lockOf(dispatcher: NatsDispatcher, name: string, flags: RunFlags): Lock<AcquireOptions> {
  const { fair, limitPolicy, slots } = flags;
  if (flags.mutex === true) return dispatcher.mutex(name, { fair });
  if (flags.read === true) return dispatcher.readWriteLock(name, { fair }).read;
  if (flags.write === true) return dispatcher.readWriteLock(name, { fair }).write;
  return dispatcher.semaphore(name, slots, { fair, limitPolicy });
}

function acquireOptionsOf({ count, meta, timeout }: RunFlags): AcquireOptions {
  return { timeout, metadata: meta, ...(count !== undefined && { count }) };
}

/** Metadata that the library takes, from one more `key=value`. */
function addMeta(text: string, known: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It must be key=value.');
  return { ...known, ...checkMetadata({ ...known, [text.slice(0, at)]: text.slice(at + 1) }) };
}
