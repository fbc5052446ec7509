import { randomBytes } from 'node:crypto';
import { Command, Option } from 'commander';
import { does } from '../command';
import { parseWhole } from '../connection-options';
import { serve } from './serve';

interface DashboardFlags {
  readonly port: number;
  readonly readOnly?: boolean;
}

/** `dashboard`: the live page, for the user who has its address: there is a random token in it, so that other users of this machine see nothing. */
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
    const token = randomBytes(24).toString('base64url');
    return serve(
      invocation,
      { port, readOnly, token, drainTimeout: 0 },
      (page) => `open ${page} in a browser; Ctrl-C ends it`,
      // In the fragment: browsers do not send that, and the page takes it out of the address bar.
      (url) => `${url}/#token=${token}`,
    );
  });
}
