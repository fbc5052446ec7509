import { parseServers } from '../../store/nats/server-urls';
import { loginOptions } from '../connection-options';
import { sidecarTokenOptions } from '../sidecar-token';

/** Variables that say who connects, and what the callers of a sidecar must send. NATS_TOKEN is read by the `nats` command line, and not by this one. */
const LOGIN_VARIABLES: readonly string[] = [
  ...[...loginOptions(), ...sidecarTokenOptions()].flatMap(({ envVar }) => envVar ?? []),
  'NATS_TOKEN',
];

/** The environment of a command without the login to NATS: a command that prints its environment, or crashes, tells it nobody. */
export function withoutLogin(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { NATS_URL: url, ...others } = env;
  for (const name of LOGIN_VARIABLES) delete others[name];
  const bare = url === undefined ? undefined : withoutLoginOfUrl(url);
  return bare === undefined ? others : { ...others, NATS_URL: bare };
}

/** Undefined: a text that has a login and is no list of URLs, so that what of it is secret can not be told. */
function withoutLoginOfUrl(urls: string): string | undefined {
  if (!urls.includes('@')) return urls;
  try {
    const { addresses, tls } = parseServers(urls);
    return addresses.map((address) => `${tls ? 'tls' : 'nats'}://${address}`).join(',');
  } catch {
    return undefined;
  }
}
