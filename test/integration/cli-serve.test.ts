import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { NatsDispatcher } from '../../src';
import { TestServer } from '../../src/testing';
import { reaper } from '../../src/testing/reaper';
import type { PermitView } from '../../src/sidecar/permits';
import { eventually } from '../support/eventually';
import { GuardedServer, onlyUser } from '../support/guarded-server';
import { SidecarClient } from '../support/sidecar-client';

let server: TestServer;
beforeAll(async () => void (server = await TestServer.start()));
afterAll(() => server.stop());

/** The command, and where it says it is. */
const start = (...args: string[]) => startOn(server.url, ...args);

async function startOn(
  url: string,
  ...args: string[]
): Promise<{ child: ChildProcess; client: SidecarClient; events: string[]; exited: Promise<unknown[]> }> {
  const main = join(__dirname, '..', '..', 'src', 'cli', 'main.ts');
  const argv = ['--import', 'tsx', main, ...args, '--server', url, '--json'];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  if (child.pid !== undefined) reaper.watchChild(child.pid);
  const events: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) =>
    events.push((JSON.parse(line) as { event: string }).event),
  );
  const exited = once(child, 'close');
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { child, events, client: new SidecarClient((JSON.parse(line) as { url: string }).url), exited };
}

describe('serve', () => {
  it('tells of its connection on stderr, and outlives a refused login', async () => {
    await using guarded = await GuardedServer.start(onlyUser('app', 'right'));
    const { child, client, events, exited } = await startOn(
      guarded.urlWith('app:right'),
      'serve',
      '--port',
      '0',
    );
    await guarded.reload(onlyUser('app', 'changed'));
    await eventually(() => expect(events).toEqual(['disconnected', 'login-refused']));
    expect((await client.get('/readyz')).status).toBe(503);
    await guarded.reload(onlyUser('app', 'right'));
    await eventually(() => expect(events.at(-1)).toBe('reconnected'));
    await eventually(async () => expect((await client.get('/readyz')).status).toBe(200));
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
    expect(events).toEqual(['disconnected', 'login-refused', 'reconnected', 'draining']);
  });

  it('drains on SIGTERM: who holds may finish, and then it ends', async () => {
    await using beside = await NatsDispatcher.connect({ servers: server.url });
    const { child, client, exited } = await start('serve', '--port', '0', '--drain', '60s');
    const { body } = await client.post<PermitView>('/v1/mutexes/a/permits');
    child.kill('SIGTERM');
    await eventually(async () => expect((await client.get('/readyz')).status).toBe(503));
    expect(await beside.mutex('a').isLocked()).toBe(true);
    expect((await client.call('DELETE', `/v1/permits/${body.id}`)).body).toEqual({ released: true });
    expect(await exited).toEqual([0, null]);
    expect(await beside.mutex('a').isLocked()).toBe(false);
  });

  it('releases what is held when the time to drain is over', async () => {
    await using beside = await NatsDispatcher.connect({ servers: server.url });
    const { child, client, exited } = await start('serve', '--port', '0', '--drain', '200ms');
    await client.post('/v1/mutexes/b/permits', { ttl: 600_000 });
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
    expect(await beside.mutex('b').isLocked()).toBe(false);
  });
});

it('dashboard shows the page and, if so asked, nothing can be changed by it', async () => {
  const { child, client, exited } = await start('dashboard', '--read-only');
  expect((await client.get<string>('/')).body).toContain('data-read-only="true"');
  expect((await client.post('/v1/mutexes/c/permits')).status).toBe(403);
  child.kill('SIGINT');
  expect(await exited).toEqual([0, null]);
});
