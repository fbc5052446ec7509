import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { Abort } from '../runtime/cancellation';
import { type Clock, sleep, systemClock } from '../runtime/clock';
import { NatsDispatcher } from '../api/dispatcher';
import { buildApp } from './app';
import type { SidecarContext } from './context';
import { Drain } from './drain';
import { Hub } from './hub';
import { Metrics } from './metrics';
import { type SidecarOptions, settingsOf } from './options';
import { Permits } from './permits';
import { Reach } from './reach';
import { Sessions } from './sessions';
import { Streams } from './sse';
import { StatusFeeds } from './status-feeds';
import { Waiters } from './waiters';

/** How long the last answers may take, in ms, and how often to look. */
const LAST_ANSWERS_MS = 2_000;
const SWEEP_MS = 20;

/** A running sidecar. */
export interface Sidecar extends AsyncDisposable {
  /** Where it listens: `http://127.0.0.1:4280`. The live page is there too. */
  readonly url: string;
  /**
   * Ends it. Nothing new is granted from now on, and who waits is refused; who holds may renew and release, for `drainTimeout` at
   * most. Then all that is held is released and the connection closed, if it is the sidecar's own. Safe to call twice.
   */
  close(): Promise<void>;
}

/**
 * Serves the primitives of one bucket over HTTP, for programs in any language, with a live page of them. See `docs/sidecar.md`.
 *
 * @throws RangeError for an address that other machines can reach without a token, and for other bad options
 * @throws BackendUnavailableError and what else `NatsDispatcher.connect` throws; the system's error if the port is taken
 *
 * @example
 * const sidecar = await startSidecar({ connect: { servers: 'nats://localhost:4222' } });
 * console.log(sidecar.url);
 */
export async function startSidecar(options: SidecarOptions = {}): Promise<Sidecar> {
  const settings = settingsOf(options);
  const dispatcher = options.dispatcher ?? (await NatsDispatcher.connect(options.connect));
  const permits = new Permits(systemClock);
  const { limits } = settings;
  const sessions = new Sessions(systemClock, permits, limits.sessions);
  const reach = new Reach(dispatcher, systemClock);
  const hub = new Hub(dispatcher, systemClock, settings.timeline, reach);
  const streams = new Streams(systemClock, limits, () => metrics.streamDropped());
  const gauges = { permits: () => permits.size, sessions: () => sessions.size, streams: () => streams.size };
  const metrics = new Metrics(gauges, limits.metricNames);
  const context: SidecarContext = {
    dispatcher,
    clock: systemClock,
    settings,
    permits,
    sessions,
    hub,
    streams,
    feeds: new StatusFeeds(systemClock),
    reach,
    waiters: new Waiters(limits, permits),
    drain: new Drain(),
    metrics,
  };
  const owned = options.dispatcher === undefined;
  const closeAll = async (app?: FastifyInstance): Promise<void> => {
    hub.close();
    streams.endAll();
    if (app !== undefined) await stopListening(app, systemClock);
    if (owned) await dispatcher.close();
    await metrics.close();
  };
  let app: FastifyInstance | undefined;
  try {
    app = await buildApp(context);
    await dispatcher.ready();
    hub.start();
    await app.listen({ host: settings.host, port: settings.port });
  } catch (error) {
    await closeAll(app);
    throw error;
  }
  return new RunningSidecar(context, app, closeAll);
}

/** Lets answers under way go out, and ends connections as they fall idle. */
async function stopListening(app: FastifyInstance, clock: Clock): Promise<void> {
  const closed = new Abort();
  const done = app.close().then(() => closed.abort());
  for (let waited = 0; !closed.aborted; waited += SWEEP_MS) {
    if (waited < LAST_ANSWERS_MS) app.server.closeIdleConnections();
    else app.server.closeAllConnections();
    await sleep(clock, SWEEP_MS, closed.signal, { keepAlive: true });
  }
  await done;
}

class RunningSidecar implements Sidecar {
  readonly url: string;
  #closing: Promise<void> | undefined;

  /** Not to be printed with it: there is a token among the settings. */
  readonly #context: SidecarContext;
  readonly #app: FastifyInstance;
  readonly #closeAll: (app: FastifyInstance) => Promise<void>;

  constructor(
    context: SidecarContext,
    app: FastifyInstance,
    closeAll: (app: FastifyInstance) => Promise<void>,
  ) {
    this.#context = context;
    this.#app = app;
    this.#closeAll = closeAll;
    const { address, family, port } = app.server.address() as AddressInfo;
    this.url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeNow();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #closeNow(): Promise<void> {
    const { clock, drain, permits, sessions, settings } = this.#context;
    drain.begin();
    const done = new Abort();
    await Promise.race([
      permits.allGone(),
      sleep(clock, settings.drainTimeout, done.signal, { keepAlive: true }),
    ]);
    done.abort();
    await sessions.closeAll('the sidecar has ended');
    await permits.releaseAll();
    await this.#closeAll(this.#app);
  }
}
