/**
 * The library beside the raw floor: the plain JetStream publishes that nobody can do without, with the same headers and
 * bytes, in one run on one server. Ratios count, not milliseconds. `npm run bench`.
 */
import { connect } from '@nats-io/transport-node';
import { NatsDispatcher } from '../src';
import { TestServer } from '../src/testing';
import { RawSlot } from './floor';
import { type Figures, sideBySide, timed } from './measure';

const BUCKET = 'BENCH';

async function main(): Promise<void> {
  await using server = await TestServer.start();
  await using first = await NatsDispatcher.connect({ servers: server.url, bucket: BUCKET });
  await using second = await NatsDispatcher.connect({ servers: server.url, bucket: BUCKET });
  await first.ready();
  const raw = await connect({ servers: server.url });
  try {
    const rows: Record<string, Record<string, string>> = {};
    const pair = new RawSlot(raw, BUCKET, 'raw');
    const alone = first.semaphore('alone', 1);
    const uncontended = await sideBySide(
      {
        library: () => timed(async () => (await alone.acquire()).release()),
        floor: () => timed(() => pair.claim().then(() => pair.release())),
      },
      10,
      200,
    );
    rows['acquire + release, nobody else'] = row(uncontended.library, uncontended.floor);

    const fair = first.semaphore('fair', 1, { fair: true });
    const queued = await sideBySide(
      {
        library: () => timed(async () => (await fair.acquire()).release()),
        floor: () => timed(() => pair.claim().then(() => pair.release())),
      },
      10,
      100,
    );
    rows['the same, fair'] = row(queued.library, queued.floor);

    const [here, there] = [first.semaphore('shared', 1), second.semaphore('shared', 1)];
    const handOver = await sideBySide(
      {
        library: async () => {
          const held = await here.acquire();
          const waiting = there.acquire();
          await untilQuiet();
          const start = performance.now();
          void held.release();
          const next = await waiting;
          const took = performance.now() - start;
          await next.release();
          return took;
        },
        floor: () => rawHandOver(raw, pair),
      },
      10,
      20,
    );
    rows['hand-over between connections'] = row(handOver.library, handOver.floor);
    console.log(`nats-server at ${server.url}, one replica, file storage, Node ${process.version}`);
    console.table(rows);
  } finally {
    await raw.close();
  }
}

/** Release marker sent, announcement heard, slot claimed. */
async function rawHandOver(raw: Awaited<ReturnType<typeof connect>>, slot: RawSlot): Promise<number> {
  await slot.claim();
  const heard = new Promise<void>((resolve) => {
    raw.subscribe(`$SEMAPHORE.${BUCKET}.sem.raw.slot.0`, { max: 1, callback: () => resolve() });
  });
  await raw.flush();
  await untilQuiet();
  const took = await timed(async () => {
    const released = slot.release();
    await heard;
    await released;
    await slot.claim();
  });
  await slot.release();
  return took;
}

/** Long enough for a waiter to have been refused and to listen; the floor pauses too, since idle machines answer later. */
function untilQuiet(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 15));
}

function row(library: Figures, floor: Figures): Record<string, string> {
  return {
    'library p50 ms': library.p50.toFixed(3),
    'floor p50 ms': floor.p50.toFixed(3),
    'ratio p50': (library.p50 / floor.p50).toFixed(2),
    'ratio p99': (library.p99 / floor.p99).toFixed(2),
  };
}

void main();
