import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { NatsDispatcher } from '../../src';
import { TestServer } from '../../src/testing';
import { reaper } from '../../src/testing/reaper';
import type { PermitView } from '../../src/sidecar/permits';
import { eventually } from '../support/eventually';
import { GuardedServer, onlyUser } from '../support/guarded-server';
import { scratchDirectory } from '../support/scratch';
import { SidecarClient } from '../support/sidecar-client';

let server: TestServer;
beforeAll(async () => void (server = await TestServer.start()));
afterAll(() => server.stop());

/** The command, and where it says it is. */
const start = (...args: string[]) => startOn(server.url, ...args);

async function startOn(
  url: string,
  ...args: string[]
): Promise<{
  child: ChildProcess;
  client: SidecarClient;
  page: string;
  events: string[];
  exited: Promise<unknown[]>;
}> {
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
  const { url: at, page } = JSON.parse(line) as { url: string; page: string };
  return { child, events, client: new SidecarClient(at), page, exited };
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

  it('takes its token from a file, so that the list of processes does not show it', async () => {
    const files = scratchDirectory();
    const file = files.write('token', 'the-token-of-callers\n');
    const { child, client, exited } = await start('serve', '--port', '0', '--token-file', file);
    expect(readFileSync(`/proc/${child.pid}/cmdline`, 'utf8')).toMatch(/--token-file\0/);
    for (const [token, status] of [
      ['the-token-of-callers', 200],
      ['the-token-of-others', 401],
    ] as const) {
      const headers = { authorization: `Bearer ${token}` };
      expect((await fetch(`${client.url}/v1/primitives`, { headers })).status).toBe(status);
    }
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
    const empty = spawn(process.execPath, [
      ...['--import', 'tsx', join(__dirname, '..', '..', 'src', 'cli', 'main.ts'), 'serve', '--port', '0'],
      ...['--server', server.url, '--token-file', files.write('none', '')],
    ]);
    expect(await once(empty, 'close')).toEqual([64, null]);
  });

  it('takes bounds, and leaves out what operators do', async () => {
    const { child, client, exited } = await start(
      'serve',
      '--port',
      '0',
      '--no-operator',
      '--max-sessions',
      '1',
    );
    expect((await client.post('/v1/sessions')).status).toBe(201);
    expect((await client.post('/v1/sessions')).body).toMatchObject({ status: 503, code: 'SIDECAR_FULL' });
    expect((await client.call('DELETE', '/v1/mutexes/c/permits/x')).status).toBe(404);
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
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

describe('dashboard', () => {
  it('shows the page to the user who has its address, and only asks others for the token', async () => {
    const { child, client, exited, page } = await start('dashboard');
    const [, token] = /^#token=([\w-]{32})$/.exec(new URL(page).hash) ?? [];
    expect(page.startsWith(`${client.url}/#`)).toBe(true);
    for (const path of ['/v1/primitives', '/v1/events', '/metrics', '/openapi.json', '/v1/mutexes/c']) {
      expect({ path, status: (await client.get(path)).status }).toEqual({ path, status: 401 });
    }
    expect((await client.post('/v1/mutexes/c/permits')).status).toBe(401);
    const shell = await client.get<string>('/');
    expect(shell.status).toBe(200);
    expect(shell.body).not.toContain(token);
    const user = new SidecarClient(client.url, { authorization: `Bearer ${token}` });
    expect((await user.get('/v1/primitives')).status).toBe(200);
    child.kill('SIGINT');
    expect(await exited).toEqual([0, null]);
  });

  it('lets nothing be changed, if so asked', async () => {
    const { child, client, exited, page } = await start('dashboard', '--read-only');
    const [, token] = page.split('#token=');
    const user = new SidecarClient(client.url, { authorization: `Bearer ${token}` });
    expect((await user.get<string>('/')).body).toContain('data-read-only="true"');
    expect((await user.post('/v1/mutexes/c/permits')).status).toBe(403);
    child.kill('SIGINT');
    expect(await exited).toEqual([0, null]);
  });
});
