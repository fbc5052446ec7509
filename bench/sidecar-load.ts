import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { type Socket, connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Worker } from 'node:worker_threads';
import { NatsDispatcher, type Permit } from '../src';
import { TestServer } from '../src/testing';
import { reaper } from '../src/testing/reaper';

/**
 * Hostile callers against one sidecar process on a real server, and what it costs: peak memory, and the slowest `/healthz` meanwhile.
 *
 *   node scripts/build.mjs && node --import tsx bench/sidecar-load.ts [path of main.js of the command line]
 */

const NAMES = 1_600;
const STREAMS = 300;
const CHANGES = 600;
const HOLDERS = 40;
const METADATA = 'x'.repeat(3_000);
const SESSIONS = 20_000;
const WAITERS = 2_000;
const BODY_MS = 60_000;
const PROBE_EVERY_MS = 100;

/** In a thread of its own: what the load costs this process must not show in the times. */
const PROBE = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { get } = require('node:http');
  let slowest = 0, failed = 0, over = false;
  parentPort.once('message', () => (over = true));
  (async () => {
    while (!over) {
      const since = performance.now();
      const status = await new Promise((resolve) =>
        get(workerData + '/healthz', { agent: false }, (answer) => {
          answer.resume();
          answer.on('end', () => resolve(answer.statusCode));
        }).on('error', () => resolve(0)));
      if (status !== 200) failed++;
      slowest = Math.max(slowest, performance.now() - since);
      await new Promise((resolve) => setTimeout(resolve, ${PROBE_EVERY_MS}));
    }
    parentPort.postMessage({ slowest, failed });
  })();
`;

interface Phase {
  readonly phase: string;
  readonly result: string;
  readonly peakMb: number;
  readonly slowestHealthzMs: number;
  readonly failedHealthz: number;
}

const agent = new Agent({ keepAlive: true, maxSockets: 30 });

function call(
  url: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; text: string }> {
  const sent = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const headers = sent === undefined ? {} : { 'content-type': 'application/json' };
    const made = request(url + path, { agent, method, headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part: string) => (text += part));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
    });
    made.on('error', reject);
    made.end(sent);
  });
}

/** Raw, so that nothing is read unless we read it. */
function raw(url: string, head: string): Socket {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  socket.write(`${head}\r\nhost: 127.0.0.1\r\n`);
  return socket;
}

async function inParallel(n: number, most: number, work: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < n) await work(next++);
  };
  await Promise.all(Array.from({ length: most }, worker));
}

function tally(statuses: readonly number[]): string {
  const counts = new Map<number, number>();
  for (const status of statuses) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts].map(([status, n]) => `${n} x ${status}`).join(', ');
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const peakOf = (child: ChildProcess): number =>
  Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024;

async function main(): Promise<void> {
  const path = process.argv[2] ?? join(__dirname, '..', 'dist', 'cjs', 'cli', 'main.js');
  await using server = await TestServer.start();
  await using beside = await NatsDispatcher.connect({ servers: server.url, holder: 'beside' });
  const child = spawn(
    process.execPath,
    [path, 'serve', '--port', '0', '--drain', '0', '--server', server.url, '--json'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  if (child.pid !== undefined) reaper.watchChild(child.pid);
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  const phases: Phase[] = [];
  const phase = async (name: string, work: () => Promise<string>): Promise<void> => {
    const probe = new Worker(PROBE, { eval: true, workerData: url });
    const result = await work();
    probe.postMessage('stop');
    const [{ slowest, failed }] = (await once(probe, 'message')) as [{ slowest: number; failed: number }];
    await probe.terminate();
    const done = {
      phase: name,
      result,
      peakMb: Math.round(peakOf(child)),
      slowestHealthzMs: Math.round(slowest),
      failedHealthz: failed,
    };
    phases.push(done);
    console.log(JSON.stringify(done));
  };

  await phase('idle', async () => {
    await pause(2_000);
    return '';
  });
  await phase(`${NAMES} names`, async () => {
    const statuses: number[] = [];
    await inParallel(NAMES, 20, async (n) => {
      const { status, text } = await call(url, 'POST', `/v1/semaphores/name-${n}/permits`, { slots: 2 });
      statuses.push(status);
      await call(url, 'DELETE', `/v1/permits/${(JSON.parse(text) as { id: string }).id}`);
    });
    const { text } = await call(url, 'GET', '/metrics');
    return `${tally(statuses)}; /metrics ${(text.length / 1e6).toFixed(2)} MB`;
  });

  const permits: Permit[] = [];
  const big = beside.semaphore('big', HOLDERS + 1);
  for (let n = 0; n < HOLDERS; n++) permits.push(await big.acquire({ metadata: { job: METADATA } }));
  await phase(`${STREAMS} streams that nobody reads, ${CHANGES} changes`, async () => {
    let closed = 0;
    const streams = Array.from({ length: STREAMS }, () => {
      const socket = raw(url, 'GET /v1/events HTTP/1.1');
      socket.write('\r\n');
      socket.pause();
      socket.once('close', () => closed++);
      return socket;
    });
    await pause(1_000);
    for (let n = 0; n < CHANGES; n++) {
      const permit = await big.acquire();
      await pause(100);
      await permit.release();
    }
    const { text } = await call(url, 'GET', '/metrics');
    const open = /^nats_semaphore_sidecar_streams(?:\{.*\})? (\d+)/m.exec(text)?.[1];
    for (const socket of streams) socket.destroy();
    return `${open} are open at the end, ${closed} closed`;
  });
  await phase(`${SESSIONS} sessions`, async () => {
    const statuses: number[] = [];
    await inParallel(SESSIONS, 30, async () => {
      statuses.push((await call(url, 'POST', '/v1/sessions', { ttl: 600_000 })).status);
    });
    return tally(statuses);
  });
  await phase(`${WAITERS} waiters`, async () => {
    const holder = await beside.mutex('held').acquire();
    const statuses: number[] = [];
    const sockets = Array.from({ length: WAITERS }, () => {
      const socket = raw(url, 'POST /v1/mutexes/held/permits HTTP/1.1');
      socket.once('data', (data) => statuses.push(Number(String(data).split(' ')[1])));
      socket.write('content-length: 0\r\n\r\n');
      return socket;
    });
    await pause(15_000);
    for (const socket of sockets) socket.destroy();
    await pause(3_000);
    await holder.release();
    return `${tally(statuses)}; the others wait`;
  });
  await phase('bodies that never end', async () => {
    const since = performance.now();
    const sockets = Array.from({ length: 100 }, () => {
      const socket = raw(url, 'POST /v1/sessions HTTP/1.1');
      socket.write('content-type: application/json\r\ncontent-length: 30000\r\n\r\n');
      socket.resume();
      return socket;
    });
    const drip = setInterval(() => sockets.forEach((socket) => socket.writable && socket.write(' ')), 500);
    const ended = Promise.all(sockets.map((socket) => once(socket, 'close')));
    await Promise.race([ended, pause(BODY_MS)]);
    clearInterval(drip);
    const open = sockets.filter((socket) => !socket.closed).length;
    for (const socket of sockets) socket.destroy();
    return `${open} of ${sockets.length} open after ${Math.round((performance.now() - since) / 1000)} s`;
  });

  console.log(
    `peak ${Math.max(...phases.map(({ peakMb }) => peakMb))} MB, slowest /healthz ${Math.max(...phases.map(({ slowestHealthzMs }) => slowestHealthzMs))} ms`,
  );
  agent.destroy();
  child.kill('SIGKILL');
  for (const permit of permits) await permit.release();
}

void main();
