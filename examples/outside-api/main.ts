/**
 * An outside API allows two calls at a time, for the whole account, and answers 429 beyond. Many workers on many nodes share
 * those two: nobody has to be refused, and nobody has to try again.
 *
 *   npx tsx examples/outside-api/main.ts
 */
import { once } from 'node:events';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Node, onNodes } from '../shared/nodes';

const ALLOWED = 2;
const CALLS = 5;

async function call({ dispatcher }: Node): Promise<void> {
  const api = dispatcher.semaphore('outside-api', ALLOWED, { fair: true });
  await Promise.all(
    Array.from({ length: CALLS }, () =>
      api.lock(60_000, async ({ signal }) => {
        const { status } = await fetch(process.env.API_URL as string, { signal });
        if (status !== 200) console.log(`refused with ${status}`);
      }),
    ),
  );
}

/** The outside API. */
async function startApi(): Promise<{ server: Server; url: string; report: () => void }> {
  let inside = 0;
  let most = 0;
  let answered = 0;
  const server = createServer((_, response) => {
    most = Math.max(most, ++inside);
    const status = inside > ALLOWED ? 429 : 200;
    void sleep(30).then(() => {
      inside--;
      answered++;
      response.writeHead(status).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const report = (): void => console.log(`${answered} calls, at most ${most} at once`);
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, report };
}

void onNodes(4, call, async () => {
  const { report, server, url } = await startApi();
  return {
    env: { API_URL: url },
    after: () => {
      report();
      server.closeAllConnections();
      server.close();
    },
  };
});
