import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ROLES = ['operator', 'worker', 'observer'] as const;
export type Role = (typeof ROLES)[number];

/** What a role may publish and subscribe to, as in `docker/roles.conf`. */
export interface Permissions {
  readonly publish: readonly string[];
  readonly denied: readonly string[];
  readonly subscribe: readonly string[];
}

export const ROLES_FILE = join(__dirname, '..', '..', 'docker', 'roles.conf');

/** The block of a role in `docker/roles.conf`, or in a page that shows it. */
export function roleBlock(role: Role, text: string): string {
  const block = new RegExp(`^( *)${role.toUpperCase()} = \\{\\n[\\s\\S]*?\\n\\1\\}$`, 'm').exec(text)?.[0];
  if (block === undefined) throw new Error(`there is no block of ${role}`);
  const indent = /^ */.exec(block)?.[0].length ?? 0;
  return block
    .split('\n')
    .map((line) => line.slice(indent))
    .join('\n');
}

export function permissionsOf(role: Role): Permissions {
  const block = roleBlock(role, readFileSync(ROLES_FILE, 'utf8'));
  const list = (name: string): string[] => {
    const body = new RegExp(`${name}: \\[([^\\]]*)\\]`).exec(block)?.[1] ?? '';
    return [...body.matchAll(/"([^"]+)"/g)].map((match) => match[1] as string);
  };
  return { publish: list('allow'), denied: list('deny'), subscribe: list('subscribe') };
}

/** The inbox prefix that the role's permissions are for. */
export const inboxOf = (role: Role): string => `_INBOX_${role.toUpperCase()}`;
