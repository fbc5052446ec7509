/**
 * What `sync_interval: always` costs beside the server's default: an uncontended acquire and release, on one server and
 * on three replicas. `npx tsx bench/sync-interval.ts`
 */
import { NatsDispatcher } from '../src';
import { TestCluster, TestServer } from '../src/testing';
import { sideBySide, timed } from './measure';

const SETTINGS = ['120s', 'always'] as const;

async function main(): Promise<void> {
  const open: AsyncDisposable[] = [];
  const keep = <T extends AsyncDisposable>(thing: T): T => {
    open.unshift(thing);
    return thing;
  };
  const things: Record<string, () => Promise<number>> = {};
  for (const interval of SETTINGS) {
    const env = { NATS_SYNC_INTERVAL: interval };
    const one = keep(await TestServer.start({ env }));
    const three = keep(await TestCluster.start(3, { env }));
    for (const [servers, replicas] of [
      [[one.url], 1],
      [three.urls, 3],
    ] as const) {
      const dispatcher = keep(await NatsDispatcher.connect({ servers: [...servers], replicas }));
      const semaphore = dispatcher.semaphore('bench', 1);
      things[`${replicas} replica(s), ${interval}`] = () =>
        timed(async () => (await semaphore.acquire()).release());
    }
  }
  const figures = await sideBySide(things, 10, 50);
  const rows = Object.entries(figures).map(([name, { p50, p99 }]) => [
    name,
    { 'p50 ms': p50.toFixed(2), 'p99 ms': p99.toFixed(2) },
  ]);
  console.table(Object.fromEntries(rows));
  for (const thing of open) await thing[Symbol.asyncDispose]();
}

void main();
