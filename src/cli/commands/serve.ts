import { Command, InvalidArgumentError, Option } from 'commander';
import { onAbort } from '../../runtime/on-abort';
import { NatsDispatcher } from '../../api/dispatcher';
import type { SidecarLimits } from '../../sidecar/limits';
import { DEFAULT_PORT, type SidecarOptions } from '../../sidecar/options';
import { type Invocation, does } from '../command';
import { connectOptionsOf, parseWhole } from '../connection-options';
import { formatDuration, parseDuration } from '../durations';
import { UsageError } from '../exit-codes';
import type { Output } from '../output';
import { type SidecarTokenFlags, sidecarTokenOf, sidecarTokenOptions } from '../sidecar-token';
import { StopSignal } from '../stop-signal';

interface ServeFlags extends SidecarTokenFlags {
  readonly host: string;
  readonly port: number;
  readonly allowHost?: string[];
  readonly readOnly?: boolean;
  readonly operator: boolean;
  readonly maxConnections?: number;
  readonly maxStreams?: number;
  readonly maxStreamsPerAddress?: number;
  readonly maxSessions?: number;
  readonly maxPermits?: number;
  readonly maxWaiters?: number;
  readonly maxMetricNames?: number;
  readonly timeline: boolean;
  readonly drain: number;
  readonly unhealthyAfter?: number;
}

/** What may be bounded on the command line. */
const BOUNDS = [
  ['connections', 'open connections'],
  ['streams', 'event streams'],
  ['streams-per-address', 'event streams of one remote address'],
  ['sessions', 'open sessions'],
  ['permits', 'permits that are held'],
  ['waiters', 'acquires under way'],
  ['metric-names', 'names with time series of their own in /metrics'],
] as const;

/** `serve`: the sidecar, for programs in any language. */
export function serveCommand(): Command {
  const command = new Command('serve')
    .description('serve the bucket over HTTP, for programs in any language, until SIGTERM or Ctrl-C')
    .addOption(
      new Option('--host <address>', 'address to listen on; another one needs --token').default('127.0.0.1'),
    )
    .addOption(
      new Option('--port <n>', 'port to listen on, 0 for any that is free')
        .argParser(parseWhole)
        .default(DEFAULT_PORT),
    )
    .addOption(new Option('--allow-host <names...>', 'further names by which callers may address it'))
    .addOption(new Option('--read-only', 'refuse everything that changes something'))
    .addOption(new Option('--no-operator', 'leave out what operators do: release by force, change a limit'))
    .addOption(new Option('--no-timeline', 'follow the bucket only while somebody looks at the page'))
    .addOption(
      new Option('--drain <duration>', 'how long holders may finish at the end')
        .argParser(parseDuration)
        .default(10_000, '10s'),
    )
    .addOption(
      new Option(
        '--unhealthy-after <duration>',
        'without NATS for so long /healthz fails (default: never)',
      ).argParser(parseDuration),
    );
  for (const option of sidecarTokenOptions()) command.addOption(option);
  for (const [flag, what] of BOUNDS) {
    command.addOption(
      new Option(`--max-${flag} <n>`, `most ${what} (docs/sidecar.md has the defaults)`).argParser(
        parseBound,
      ),
    );
  }
  return does<ServeFlags>(command, (invocation) => {
    const { allowHost, drain, host, operator, port, readOnly, timeline, unhealthyAfter } = invocation.flags;
    return serve(invocation, {
      allowedHosts: allowHost,
      drainTimeout: drain,
      host,
      limits: limitsOf(invocation.flags),
      operator,
      port,
      readOnly,
      timeline,
      token: sidecarTokenOf(invocation.flags),
      unhealthyAfter,
    });
  });
}

function limitsOf(flags: ServeFlags): SidecarLimits {
  return {
    connections: flags.maxConnections,
    streams: flags.maxStreams,
    streamsPerAddress: flags.maxStreamsPerAddress,
    sessions: flags.maxSessions,
    permits: flags.maxPermits,
    waiters: flags.maxWaiters,
    metricNames: flags.maxMetricNames,
  };
}

function parseBound(text: string): number {
  const value = parseWhole(text);
  if (value < 1) throw new InvalidArgumentError('It must be 1 or more.');
  return value;
}

/** Runs a sidecar until it is asked to stop, and says where it and its page are. @param pageOf the address of the page */
export async function serve(
  { flags, output }: Invocation<unknown>,
  options: SidecarOptions,
  text = (page: string): string => `serving on ${page}, its page too`,
  pageOf = (url: string): string => url,
): Promise<void> {
  using stop = new StopSignal();
  await using dispatcher = await NatsDispatcher.connect(connectOptionsOf(flags));
  tellOfConnection(dispatcher, output);
  // Only here: what serves HTTP takes longer to load than most commands take to run.
  const { startSidecar } = await import('../../sidecar/sidecar.js');
  const sidecar = await startSidecar({ ...options, dispatcher }).catch((error: unknown) => {
    throw error instanceof RangeError || error instanceof TypeError
      ? new UsageError(`--${error.message}`, { cause: error })
      : error;
  });
  const page = pageOf(sidecar.url);
  output.print({ url: sidecar.url, page }, () => text(page));
  await new Promise<void>((resolve) => void onAbort(stop.signal, resolve));
  output.note({ event: 'draining' });
  await sidecar.close();
}

/** On stderr, for whoever reads the log of a sidecar that does not answer. */
function tellOfConnection(dispatcher: NatsDispatcher, output: Output): void {
  const tell = (event: string, message: string): void => output.note({ event, message }, message);
  dispatcher.on('disconnected', ({ cause }) => tell('disconnected', cause.message));
  dispatcher.on('loginRefused', ({ error }) =>
    tell('login-refused', `NATS refuses the login: ${error.message}`),
  );
  dispatcher.on('reconnected', ({ afterMs }) =>
    tell('reconnected', `connected to NATS again, after ${formatDuration(Math.round(afterMs))}`),
  );
  dispatcher.on('connectionClosed', ({ cause }) => tell('connection-closed', cause.message));
}
