import { Command, InvalidArgumentError, Option } from 'commander';
import { sleep, systemClock } from '../../runtime/clock';
import { TestServer } from '../../testing/test-server';
import { type CommonFlags, does } from '../command';
import { parseWhole } from '../connection-options';
import { StopSignal } from '../stop-signal';

interface ServerFlags extends CommonFlags {
  readonly port?: number;
  readonly storeDir?: string;
}

/** `server`: a nats-server to try things on. */
export function serverCommand(): Command {
  const command = new Command('server')
    .description('start a throwaway nats-server on 127.0.0.1, until Ctrl-C')
    .addOption(new Option('--port <n>', 'for clients (default: a free one)').argParser(parsePort))
    .option(
      '--store-dir <dir>',
      'where it keeps its data, and leaves it (default: a fresh one, removed again)',
    );
  return does<ServerFlags>(command, async ({ flags: { port, storeDir }, output }) => {
    using stop = new StopSignal();
    await using server = await TestServer.start({ port, storeDir });
    const { monitorPort, pid, url } = server;
    const monitor = `http://127.0.0.1:${monitorPort}`;
    output.print({ url, monitor, pid, storeDir: server.storeDir }, () =>
      [`export NATS_URL=${url}`, `# monitoring: ${monitor}; Ctrl-C ends it`].join('\n'),
    );
    // The server itself does not keep the process alive.
    await sleep(systemClock, Infinity, stop.signal, { keepAlive: true });
  });
}

function parsePort(text: string): number {
  const port = parseWhole(text);
  if (port < 1 || port > 65_535) throw new InvalidArgumentError('It must be from 1 to 65535.');
  return port;
}
