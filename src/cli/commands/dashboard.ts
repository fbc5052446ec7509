import { Command, Option } from 'commander';
import { does } from '../command';
import { parseWhole } from '../connection-options';
import { serve } from './serve';

interface DashboardFlags {
  readonly port: number;
  readonly readOnly?: boolean;
}

/** `dashboard`: the live page alone, for whoever sits at this machine. */
export function dashboardCommand(): Command {
  const command = new Command('dashboard')
    .description('serve the live page on this machine, until Ctrl-C')
    .addOption(
      new Option('--port <n>', 'port to listen on (default: any that is free)')
        .argParser(parseWhole)
        .default(0, 'any'),
    )
    .addOption(new Option('--read-only', 'show only: no release by force'));
  return does<DashboardFlags>(command, (invocation) => {
    const { port, readOnly } = invocation.flags;
    return serve(
      invocation,
      { port, readOnly, drainTimeout: 0 },
      (url) => `open ${url} in a browser; Ctrl-C ends it`,
    );
  });
}
