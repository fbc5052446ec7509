import { Option } from 'commander';
import { secretFile } from './secret-file';

/** What callers of a sidecar must send, as given by flags or environment. */
export interface SidecarTokenFlags {
  readonly token?: string;
  readonly tokenFile?: string;
}

export function sidecarTokenOptions(): Option[] {
  return [
    new Option('--token <token>', 'what callers must send as a bearer token').env('NATS_SEMAPHORE_TOKEN'),
    new Option('--token-file <file>', 'file with that token').env('NATS_SEMAPHORE_TOKEN_FILE'),
  ];
}

/** A blank variable is not the same as none here: a sidecar that is meant to have a token does not start without. */
export function sidecarTokenOf({ token, tokenFile }: SidecarTokenFlags): string | undefined {
  return tokenFile === undefined ? token : secretFile('token-file', tokenFile)();
}
