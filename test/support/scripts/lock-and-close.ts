/** A program that only connects, locks and closes. It says when it is done, and must then end by itself: it says when, too. */
import { connect as connect3 } from '@nats-io/transport-node';
import { connect as connect2 } from 'nats';
import { NatsDispatcher } from '../../../src';
import { monotonicMs } from '../monotonic';

const [, , url, how] = process.argv;

async function lockOnce(dispatcher: NatsDispatcher): Promise<void> {
  await dispatcher.semaphore('script').lock(5_000, () => undefined);
}

/** Leaves to `close` a permit that is held, one that was lost, one who waits, and waits that failed. */
async function leaveAllToClose(dispatcher: NatsDispatcher): Promise<void> {
  const semaphore = dispatcher.semaphore('script', 1, { ttl: 1_000 });
  const first = await semaphore.acquire({ autoRenew: false });
  await new Promise((resolve) => first.signal.addEventListener('abort', resolve));
  await semaphore.acquire();
  await semaphore.tryAcquire({ timeout: 2_000 });
  await semaphore.acquire({ signal: AbortSignal.timeout(50) }).catch(() => undefined);
  semaphore.acquire().catch(() => undefined);
}

async function main(): Promise<void> {
  switch (how) {
    case 'connect': {
      const dispatcher = await NatsDispatcher.connect({ servers: url });
      await lockOnce(dispatcher);
      return dispatcher.close();
    }
    case 'unused': {
      const dispatcher = await NatsDispatcher.connect({ servers: url });
      return dispatcher.close();
    }
    case 'everything': {
      const dispatcher = await NatsDispatcher.connect({ servers: url });
      await leaveAllToClose(dispatcher);
      return dispatcher.close();
    }
    case '2.x':
    case '3.x': {
      const connection = await (how === '2.x' ? connect2({ servers: url }) : connect3({ servers: url }));
      const dispatcher = new NatsDispatcher(connection);
      await lockOnce(dispatcher);
      await dispatcher.close();
      return connection.close();
    }
    default:
      throw new Error(`do not know how to ${how}`);
  }
}

process.on('exit', () => console.log(monotonicMs()));
void main().then(() => console.log(monotonicMs()));
