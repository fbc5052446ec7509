import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ROLES_FILE, roleBlock } from '../support/roles';
import type { TopologyName } from './topology';

const DOCKER = join(__dirname, '..', '..', 'docker');

/** How the hostile client signs in. */
export const WORKER = { user: 'worker', pass: 'campaign' };

/**
 * Writes the configuration of the campaign's servers: all clients may do everything, as without users, and the hostile client
 * has exactly the permissions of the worker in `docker/roles.conf`.
 * @returns its path
 */
export function writeServerConfig(topology: TopologyName, bucket: string, folder: string): string {
  const main = join(DOCKER, topology === 'r1' ? 'single.conf' : 'cluster.conf');
  const block = roleBlock('worker', readFileSync(ROLES_FILE, 'utf8'));
  const permissions = block.slice(block.indexOf('{')).replaceAll('SEMAPHORES', bucket);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'server.conf');
  const text = `
# The server takes the path of an included file as relative, always.
include "${relative(folder, main)}"
no_auth_user: campaign
authorization {
  WORKER = ${permissions}
  users: [
    { user: campaign, password: campaign }
    { user: ${WORKER.user}, password: ${WORKER.pass}, permissions: $WORKER }
  ]
}
`;
  writeFileSync(path, text);
  return path;
}
