import { Command } from 'commander';
import { abortWith } from '../../runtime/on-abort';
import type { NatsDispatcher } from '../../api/dispatcher';
import { type Invocation, does } from '../command';
import { withDispatcher } from '../connection-options';
import { nameArgument } from '../name-argument';
import { type AnyStatus, type Kind, kindOption } from '../primitives';
import { StopSignal } from '../stop-signal';
import { follow, keyOf } from '../view/follow';
import { Screen } from '../view/screen';
import { statusText } from '../view/status-text';

interface WatchFlags {
  readonly kind?: Kind;
}

/** `watch [NAME]`: who holds and who waits, as it changes. */
export function watchCommand(): Command {
  const command = new Command('watch')
    .description('follow who holds and who waits, until Ctrl-C')
    .addArgument(nameArgument('of the primitive (default: all)').argOptional())
    .addOption(kindOption());
  return does<WatchFlags>(command, async (invocation) => {
    using stop = new StopSignal();
    await withDispatcher(invocation.flags, (dispatcher) => watch(dispatcher, invocation, stop.signal));
  });
}

async function watch(
  dispatcher: NatsDispatcher,
  { flags, operands: [name], output }: Invocation<WatchFlags>,
  stop: AbortSignal,
): Promise<void> {
  const latest = new Map<string, AnyStatus>();
  let reachable = true;
  const screen = new Screen(() => frame([...latest.values()], reachable));
  const ended = new AbortController();
  const { signal } = ended;
  const unlink = abortWith(ended, stop);
  const showing = output.json ? Promise.resolve() : screen.show(signal);
  try {
    await follow(dispatcher, {
      name,
      kind: flags.kind,
      signal,
      changed: (status) => {
        latest.set(keyOf(status), status);
        if (output.json) output.print(status, () => '');
        else screen.redraw();
      },
      gone: (key) => {
        latest.delete(key);
        screen.redraw();
      },
      reachable: (yes) => {
        if (yes === reachable) return;
        reachable = yes;
        output.note({ event: yes ? 'reachable' : 'unreachable' });
        screen.redraw();
      },
    });
  } finally {
    unlink();
    ended.abort();
    await showing;
  }
}

function frame(statuses: readonly AnyStatus[], reachable: boolean): string {
  const sorted = [...statuses].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  const parts = sorted.map((status) => statusText(status));
  if (parts.length === 0) parts.push('Nothing there yet.');
  if (!reachable) parts.unshift('NO ANSWER FROM THE SERVER: what follows was so when it last told.');
  return parts.join('\n\n');
}
