import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { packageFile } from '../src/runtime/package-root';
import { serverBinary } from '../src/testing/server-binary';
import type { World } from './world';

const PACKAGES = ['@nats-io/transport-node', 'redis-semaphore', 'ioredis', 'redlock', 'async-mutex'];

/** What was measured, by version. */
export async function versions(world: World): Promise<Record<string, string>> {
  const server = execFileSync(await serverBinary(), ['--version']).toString();
  const redis = await world.redis();
  return {
    node: process.version,
    'nats-server': /\bv(\d\S*)/.exec(server)?.[1] ?? 'unknown',
    'redis-server': redis?.version ?? 'not to be had',
    'nats-semaphore': versionIn('package.json'),
    ...Object.fromEntries(PACKAGES.map((name) => [name, versionIn(`node_modules/${name}/package.json`)])),
  };
}

function versionIn(path: string): string {
  return (JSON.parse(readFileSync(packageFile(path), 'utf8')) as { version: string }).version;
}
