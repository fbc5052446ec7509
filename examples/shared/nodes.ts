import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NatsDispatcher } from '../../src';
import { TestServer } from '../../src/testing';

/** One of several processes of an example. */
export interface Node {
  readonly name: string;
  readonly dispatcher: NatsDispatcher;
  /** A directory that all nodes share: what stands for a database here. */
  readonly dir: string;
}

/** What goes on around the nodes, in the process that starts them. */
export interface Surroundings {
  /** Environment variables for the nodes. */
  readonly env?: Record<string, string>;
  /** Called with the shared directory when all nodes have ended. */
  readonly after?: (dir: string) => void | Promise<void>;
}

/**
 * Runs `work` in `count` processes of their own, on the server at `NATS_URL` or else on a throwaway one. The program starts
 * itself again for each: an environment variable tells a node that it is one.
 */
export async function onNodes(
  count: number,
  work: (node: Node) => Promise<void>,
  surroundings: () => Surroundings | Promise<Surroundings> = () => ({}),
): Promise<void> {
  const { EXAMPLE_NODE: name, EXAMPLE_DIR: shared = '', EXAMPLE_BUCKET: bucket } = process.env;
  if (name !== undefined) {
    await using dispatcher = await NatsDispatcher.connect({ bucket, holder: name });
    await work({ name, dispatcher, dir: shared });
    return;
  }
  await using server = process.env.NATS_URL === undefined ? await TestServer.start() : undefined;
  const dir = mkdtempSync(join(tmpdir(), 'example-'));
  const { env, after } = await surroundings();
  const children: ChildProcess[] = [];
  try {
    for (let i = 1; i <= count; i++) {
      const own = {
        NATS_URL: server?.url ?? process.env.NATS_URL,
        EXAMPLE_NODE: `node ${i}`,
        EXAMPLE_DIR: dir,
      };
      children.push(
        fork(process.argv[1] as string, [], {
          execArgv: ['--import', 'tsx'],
          env: { ...process.env, EXAMPLE_BUCKET: `EXAMPLE_${process.pid}`, ...own, ...env },
        }),
      );
    }
    const codes = await Promise.all(children.map((child) => once(child, 'exit')));
    if (codes.some(([code]) => code !== 0)) throw new Error('a node failed');
    await after?.(dir);
  } finally {
    for (const child of children) child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  }
}
