/**
 * Three pods, as it were, that share a cluster of three NATS servers: in each a worker in Python and beside it its sidecar. The workers know
 * nothing of NATS; together they are never more than two at work. In the middle one sidecar is killed while its worker holds a slot: the
 * others go on with the slot that is left, and nobody gets the dead one's before its ttl is over.
 *
 *   npx tsx examples/sidecar/main.ts     needs python3
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { TestCluster } from '../../src/testing';
import { freePorts } from '../../src/testing/free-ports';

const SLOTS = 2;
const PODS = 3;
const PIECES = 60;
const KILL_AFTER = 40;

interface Step {
  readonly at: number;
  readonly what: string;
  readonly slot: string;
  readonly pod: number;
}

const children: ChildProcess[] = [];

async function main(): Promise<void> {
  await using cluster = await TestCluster.start(3);
  const ports = await freePorts(PODS);
  const steps: Step[] = [];
  const pods = await Promise.all(
    ports.map(async (port, i) => ({ sidecar: await startSidecar(port, cluster.urls), port, pod: i + 1 })),
  );
  const workers = pods.map(({ port, pod, sidecar }) =>
    work(port, (line) => {
      const [at, what = '', slot = ''] = line.split(' ');
      steps.push({ at: Number(at), what, slot, pod });
      if (pod === 1 && what === 'enter' && steps.length >= KILL_AFTER && sidecar.exitCode === null)
        sidecar.kill('SIGKILL');
    }),
  );
  const codes = await Promise.all(workers);
  console.log(`at most ${mostAtOnce(steps)} of ${PODS} workers at once, ${SLOTS} allowed`);
  console.log(
    `pod 1 lost its sidecar after ${steps.filter(({ pod }) => pod === 1).length / 2} pieces of work`,
  );
  for (const [i, code] of codes.entries())
    if (i > 0) console.log(`pod ${i + 1}: ${code === 0 ? `all ${PIECES} done` : `failed with ${code}`}`);
  // Before their servers go: they would tell of that.
  for (const { sidecar } of pods) {
    if (sidecar.exitCode !== null || sidecar.signalCode !== null) continue;
    sidecar.kill('SIGKILL');
    await once(sidecar, 'exit');
  }
}

/** Resolves when it can be asked. */
async function startSidecar(port: number, servers: readonly string[]): Promise<ChildProcess> {
  const cli = join(__dirname, '..', '..', 'src', 'cli', 'main.ts');
  const where = ['--server', servers.join(','), '--replicas', '3'];
  const args = ['--import', 'tsx', cli, 'serve', '--port', String(port), ...where];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  children.push(child);
  for (let tries = 0; tries < 200 && child.exitCode === null; tries++) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
    if (answer?.ok === true) return child;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const why = child.exitCode === null ? 'is not ready after 20 s' : `ended with status ${child.exitCode}`;
  throw new Error(`the sidecar on port ${port} ${why}`);
}

/** A worker that knows only the address of its sidecar. */
async function work(port: number, hear: (line: string) => void): Promise<number | null> {
  const args = [
    join(__dirname, 'worker.py'),
    `http://127.0.0.1:${port}`,
    'printers',
    `${SLOTS}`,
    `${PIECES}`,
  ];
  const child = spawn('python3', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  children.push(child);
  createInterface({ input: child.stdout }).on('line', hear);
  const [code] = (await once(child, 'close')) as [number | null];
  return code;
}

/** All read the same clock, so that what they say can be put in order. Who lost his sidecar is not at work any more. */
function mostAtOnce(steps: readonly Step[]): number {
  const inside = new Set<string>();
  let most = 0;
  for (const { what, slot, pod } of [...steps].sort((a, b) => a.at - b.at)) {
    if (what === 'leave') inside.delete(`${slot} ${pod}`);
    else inside.add(`${slot} ${pod}`);
    most = Math.max(most, inside.size);
  }
  return most;
}

void main().finally(() => {
  for (const child of children) child.kill();
});
