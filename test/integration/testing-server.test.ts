import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterEach, describe, expect, it } from '@jest/globals';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';

import { TestCluster, TestServer } from '../../src/testing';
import { httpJson } from '../../src/testing/http-json';

const ROOT = join(__dirname, '..', '..');

const scratches: string[] = [];

function scratch(): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'testing-server-')));
  scratches.push(dir);
  return dir;
}

afterEach(() => {
  for (const dir of scratches.splice(0)) rmSync(dir, { recursive: true });
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

interface Varz {
  server_name: string;
  host: string;
  http_host: string;
  port: number;
  max_connections: number;
  jetstream: { config?: { sync_always?: boolean; store_dir: string } };
}

async function eventually(holds: () => boolean | Promise<boolean>, limit = 10_000): Promise<void> {
  for (const end = Date.now() + limit; !(await holds()); await sleep(20)) {
    if (Date.now() > end) throw new Error(`not within ${limit} ms: ${holds.toString()}`);
  }
}

describe('TestServer', () => {
  it('leaves neither a process nor a store behind', async () => {
    const server = await TestServer.start();
    const { pid, storeDir } = server;
    expect(alive(pid!)).toBe(true);
    expect(existsSync(storeDir)).toBe(true);
    await server.stop();
    await server.stop();
    expect(server.pid).toBeUndefined();
    expect(alive(pid!)).toBe(false);
    expect(existsSync(storeDir)).toBe(false);
    expect(existsSync(server.logFile)).toBe(false);
  });

  it('is stopped at the end of its scope', async () => {
    let pid: number | undefined;
    {
      await using server = await TestServer.start();
      pid = server.pid;
      expect(alive(pid!)).toBe(true);
    }
    expect(alive(pid!)).toBe(false);
  });

  it('runs beside another one, on loopback only', async () => {
    await using one = await TestServer.start();
    await using two = await TestServer.start();
    expect(new Set([one.port, one.monitorPort, two.port, two.monitorPort]).size).toBe(4);
    for (const server of [one, two]) {
      const varz = await server.monitor<{
        server_name: string;
        host: string;
        http_host: string;
        port: number;
      }>('varz');
      const { name, port } = server;
      expect(varz).toMatchObject({ server_name: name, host: '127.0.0.1', http_host: '127.0.0.1', port });
      const connection = await connect({ servers: server.url });
      expect((await (await jetstreamManager(connection)).getAccountInfo()).streams).toBe(0);
      await connection.close();
    }
  });

  it('keeps what it stored over a kill and a restart', async () => {
    await using server = await TestServer.start();
    const { pid, port, storeDir } = server;
    const before = await connect({ servers: server.url });
    await (await jetstreamManager(before)).streams.add({ name: 'S', subjects: ['s.>'] });
    expect((await jetstream(before).publish('s.a', 'kept')).seq).toBe(1);
    await before.close();

    await server.kill();
    expect(alive(pid!)).toBe(false);
    expect(server.pid).toBeUndefined();
    await expect(server.monitor('varz')).rejects.toThrow('ECONNREFUSED');
    await server.restart();

    expect(server.pid).not.toBe(pid);
    expect([server.port, server.storeDir]).toEqual([port, storeDir]);
    const after = await connect({ servers: server.url });
    const message = await (await jetstreamManager(after)).streams.getMessage('S', { seq: 1 });
    expect(message?.string()).toBe('kept');
    await after.close();
  });

  it('keeps its store over a stop only when told to', async () => {
    await using server = await TestServer.start();
    await server.stop({ keepStore: true });
    expect(existsSync(server.storeDir)).toBe(true);
    await server.restart();
    await server.stop();
    expect(existsSync(server.storeDir)).toBe(false);
    await server.restart();
    expect(await server.monitor('healthz')).toEqual({ status: 'ok' });
  });

  it('never removes a store and a log that it was given', async () => {
    const dir = scratch();
    const storeDir = join(dir, 'store');
    const logFile = join(dir, 'log');
    await using server = await TestServer.start({ storeDir, logFile });
    await server.stop();
    expect(existsSync(storeDir)).toBe(true);
    expect(existsSync(logFile)).toBe(true);
  });

  it('answers nothing while paused and can be stopped then', async () => {
    await using server = await TestServer.start();
    const connection = await connect({ servers: server.url });
    server.pause();
    let answered = false;
    const rtt = connection.rtt().then(() => (answered = true));
    await expect(httpJson(server.monitorPort, 'varz', 200)).rejects.toThrow('did not answer within 200 ms');
    expect(answered).toBe(false);
    server.resume();
    await rtt;
    await connection.close();
    server.pause();
    const { pid } = server;
    await server.stop();
    expect(alive(pid!)).toBe(false);
  });

  it('refuses JetStream when started without it', async () => {
    await using server = await TestServer.start({ jetstream: false });
    const connection = await connect({ servers: server.url });
    await expect(jetstreamManager(connection)).rejects.toMatchObject({ name: 'JetStreamNotEnabled' });
    await connection.close();
  });

  it('passes settings on to the config file', async () => {
    await using syncing = await TestServer.start({ env: { NATS_SYNC_INTERVAL: 'always' } });
    expect((await syncing.monitor<Varz>('varz')).jetstream.config?.sync_always).toBe(true);
  });

  it.each([
    ['that names no store', () => 'jetstream: enabled'],
    // nats-server takes the path as relative to the file that includes, always.
    ['that includes ours', (dir: string) => `include "${relative(dir, join(ROOT, 'docker/single.conf'))}"`],
  ])('takes a config file %s in place of ours', async (_, text) => {
    const dir = scratch();
    const config = join(dir, 'own.conf');
    writeFileSync(config, `${text(dir)}\nport: 1\nhost: 0.0.0.0\nmax_connections: 7\n`);
    await using own = await TestServer.start({ config });
    const varz = await own.monitor<Varz>('varz');
    expect(varz).toMatchObject({ max_connections: 7, host: '127.0.0.1', server_name: own.name });
    expect(varz.jetstream.config?.store_dir.startsWith(own.storeDir)).toBe(true);
  });

  it("fails with the end of the server's log, and leaves nothing running", async () => {
    const dir = scratch();
    const config = join(dir, 'broken.conf');
    writeFileSync(config, 'no_such_setting: 1\n');
    await expect(TestServer.start({ config })).rejects.toThrow(
      /exited before it was ready.*no_such_setting/s,
    );
    await expect(TestServer.start({ binary: join(dir, 'none') })).rejects.toThrow('could not be started');
  });

  it('says so when the port it was told to take is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    await expect(TestServer.start({ port })).rejects.toThrow(/found a port taken.*address already in use/s);
    await once(other.close(), 'close');
  });
});

describe('a process that started a server', () => {
  const program = `
    const { TestServer } = require(${JSON.stringify(join(ROOT, 'src/testing'))});
    TestServer.start().then((server) => {
      process.stdout.write(JSON.stringify([server.monitorPort, server.storeDir]) + '\\n');
      END
    });
  `;

  async function started(end: string): Promise<{ child: ChildProcess; port: number; storeDir: string }> {
    const args = ['--require', require.resolve('tsx/cjs'), '--eval', program.replace('END', end)];
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['pipe', 'pipe', 'ignore'] });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const [port, storeDir] = JSON.parse(line.toString()) as [number, string];
    return { child, port, storeDir };
  }

  it.each([
    ['ends without stopping it', '', undefined],
    ['throws', "setImmediate(() => { throw new Error('uncaught'); });", undefined],
    ['gets a SIGTERM', 'process.stdin.resume();', 'SIGTERM'],
    ['gets a SIGINT', 'process.stdin.resume();', 'SIGINT'],
  ] as const)('takes it along when it %s', async (_, end, signal) => {
    const { child, port, storeDir } = await started(end);
    const exit = once(child, 'exit');
    if (signal) child.kill(signal);
    expect((await exit)[1]).toBe(signal ?? null);
    // Not by the process id: that stays visible until whoever adopted the orphan has taken note of its end.
    await eventually(() =>
      httpJson(port, 'varz', 1_000).then(
        () => false,
        () => true,
      ),
    );
    expect(existsSync(storeDir)).toBe(false);
  });
});

describe('TestCluster', () => {
  it('elects a leader for a stream, and another when that is killed', async () => {
    await using cluster = await TestCluster.start();
    expect(cluster.servers).toHaveLength(3);
    expect(new Set(cluster.urls).size).toBe(3);
    const connection = await connect({ servers: cluster.urls });
    const manager = await jetstreamManager(connection);
    const info = await manager.streams.add({ name: 'R', subjects: ['r.>'], num_replicas: 3 });
    expect(info.cluster?.replicas).toHaveLength(2);
    await connection.close();

    await eventually(async () => (await cluster.leaderOf('R')) !== undefined);
    const first = (await cluster.leaderOf('R'))!;
    expect(cluster.servers).toContain(first);
    expect(await cluster.leaderOf('NONE')).toBeUndefined();

    await first.kill();
    await eventually(async () => ![undefined, first].includes(await cluster.leaderOf('R')), 20_000);
    await first.restart();
    const pids = cluster.servers.map((server) => server.pid!);
    expect(pids.every(alive)).toBe(true);
    await cluster.stop();
    expect(pids.some(alive)).toBe(false);
  });

  it.each([0, 1, 2.5, NaN])('refuses a size of %s', async (size) => {
    await expect(TestCluster.start(size)).rejects.toThrow(RangeError);
  });
});

describe('scripts/nats-server', () => {
  function run(
    args: string[],
    env: NodeJS.ProcessEnv,
  ): Promise<{ code: unknown; stdout: string; stderr: string }> {
    return new Promise((resolve) => {
      execFile(
        join(ROOT, 'scripts/nats-server'),
        args,
        { env: { ...process.env, ...env } },
        (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }),
      );
    });
  }

  it('prints only the path of a server that runs', async () => {
    const { code, stdout } = await run(['path'], {});
    expect({ code, exists: existsSync(stdout.trimEnd()) }).toEqual({ code: 0, exists: true });
    expect(await run(['run', '--version'], {})).toMatchObject({
      stdout: expect.stringContaining('nats-server: v'),
    });
  });

  it.each([
    ['is missing', '/nonexistent/nats-server', 'there is no such executable'],
    ['is something else', process.execPath, 'this is not a nats-server that runs here'],
  ])('refuses a NATS_SERVER_BIN that %s', async (_, bin, reason) => {
    const { code, stdout, stderr } = await run(['path'], { NATS_SERVER_BIN: bin });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(`NATS_SERVER_BIN=${bin}: ${reason}`);
  });

  it('refuses a NATS_SERVER_BIN that is too old', async () => {
    const dir = scratch();
    const bin = join(dir, 'nats-server');
    writeFileSync(bin, '#!/bin/sh\necho "nats-server: v2.11.9"\n', { mode: 0o755 });
    const { code, stderr } = await run(['path'], { NATS_SERVER_BIN: bin });
    expect(code).toBe(1);
    expect(stderr).toContain('this is nats-server 2.11.9, and at least 2.12 is needed');
  });
});
