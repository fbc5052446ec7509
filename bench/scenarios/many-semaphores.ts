/**
 * 10,000 semaphores used once each by one process, and then idle: what each leaves on its heap after a full collection,
 * and on the server. Then 1,000 of them are held by a second process and waited for by the first: what it costs to stand
 * in 1,000 queues, until the client has nothing more to say.
 */
import { monotonicMs, pause, single } from '../measure';
import { type Row, judge } from '../result';
import type { WorkerProcess } from '../worker-process';
import type { World } from '../world';
import type { Scenario } from './scenario';

const BUCKET = 'MANY';
const SEMAPHORES = 10_000;
const CONTENDED = 1_000;
const WARM_UP = 500;
const POLL_MS = 20;
const SILENT_POLLS = 10;
const SILENCE_LIMIT_MS = 30_000;

interface Seen {
  readonly consumers: number;
  readonly subscriptions: number;
  readonly messages: number;
}

export const manySemaphores: Scenario = {
  name: 'many',
  title: '10,000 semaphores in one process',
  note: 'Heap after a full collection. Setup: 1,000 waiters on 1,000 taken semaphores, until the client falls silent.',
  async run(world) {
    const contender = await world.library({ bucket: BUCKET });
    const count = world.quick ? SEMAPHORES / 5 : SEMAPHORES;
    const names = (from: number, to: number): string[] =>
      Array.from({ length: to - from }, (_, i) => `one-of-many-${from + i}`);
    const [user, other] = (await world.workers(2)) as [WorkerProcess, WorkerProcess];
    try {
      await user.call('useOnce', contender, names(count, count + WARM_UP));
      const clean = await user.call('heap');
      const before = await look(world);
      await user.call('useOnce', contender, names(0, count));
      const used = await user.call('heap');
      const idle = await look(world);

      const contended = names(0, CONTENDED);
      await Promise.all(contended.map((name) => other.call('acquire', contender, { name, slots: 1 })));
      const cpuBefore = await user.call('cpuMs');
      const start = monotonicMs();
      await user.call('waitOnEach', contender, contended);
      const { at, seen } = await untilSilent(world);
      const cpu = (await user.call('cpuMs')) - cpuBefore;
      const waiting = await user.call('heap');
      await Promise.all(contended.map((name) => other.call('release', name)));
      await user.call('allServed');
      return rows({
        perIdle: (used - clean) / count,
        consumers: idle.consumers,
        subscriptions: (idle.subscriptions - before.subscriptions) / count,
        setupUs: ((at - start) * 1000) / CONTENDED,
        setupCpuUs: (cpu * 1000) / CONTENDED,
        perContended: (waiting - used) / CONTENDED,
        contendedConsumers: seen.consumers,
        contendedSubscriptions: (seen.subscriptions - idle.subscriptions) / CONTENDED,
      });
    } finally {
      await user.stop();
      await other.stop();
    }
  },
};

function rows(seen: Record<string, number>): Row[] {
  const of = (key: string): number => seen[key]!;
  return [
    {
      what: 'memory of the process',
      unit: 'bytes',
      figures: { 'idle semaphore': single(of('perIdle')), 'contended semaphore': single(of('perContended')) },
      verdicts: [judge('bytes per idle semaphore', of('perIdle'), { atMost: 1023 })],
    },
    {
      what: 'on the server',
      unit: 'count',
      figures: {
        'consumers, idle': single(of('consumers')),
        'subscriptions per idle semaphore': single(of('subscriptions')),
        'consumers, 1,000 contended': single(of('contendedConsumers')),
        'subscriptions per contended semaphore': single(of('contendedSubscriptions')),
      },
      verdicts: [judge('consumers that nobody waits on', of('consumers'), { atMost: 0 })],
    },
    {
      what: 'setup of a contended semaphore',
      unit: 'us',
      figures: { elapsed: single(of('setupUs')), 'client CPU': single(of('setupCpuUs')) },
      verdicts: [judge('us per contended semaphore', of('setupUs'))],
    },
  ];
}

async function look(world: World): Promise<Seen> {
  const server = await world.server();
  const [jsz, varz] = await Promise.all([
    server.monitor<{ consumers: number }>('jsz'),
    server.monitor<{ subscriptions: number; in_msgs: number }>('varz'),
  ]);
  return { consumers: jsz.consumers, subscriptions: varz.subscriptions, messages: varz.in_msgs };
}

/** When the last message came in before a pause. */
async function untilSilent(world: World): Promise<{ at: number; seen: Seen }> {
  let last = await look(world);
  let at = monotonicMs();
  const deadline = at + SILENCE_LIMIT_MS;
  for (let silent = 0; silent < SILENT_POLLS && monotonicMs() < deadline; silent++) {
    await pause(POLL_MS);
    const now = await look(world);
    if (now.messages === last.messages) continue;
    silent = 0;
    last = now;
    at = monotonicMs();
  }
  return { at, seen: last };
}
