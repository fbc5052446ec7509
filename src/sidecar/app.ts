import swagger from '@fastify/swagger';
import fastify, { type FastifyInstance } from 'fastify';
import { version } from '../runtime/version';
import { HungUp } from './caller';
import { warn } from '../runtime/warning';
import { boundConnections } from './connections';
import type { SidecarContext } from './context';
import { guard } from './guard';
import { Problem, notFound, sendProblem, toProblem } from './problem';
import { refuseRaw } from './raw-refusal';
import { everythingRoutes } from './routes/everything';
import { healthRoutes } from './routes/health';
import { pageRoutes } from './routes/page';
import { permitRoutes } from './routes/permits';
import { sessionRoutes } from './routes/sessions';
import { readWriteRoutes } from './routes/read-write-locks';
import { slotRoutes } from './routes/slots';
import { shownPath } from './secret';

/** A name of 256 bytes, each percent-encoded, and some to spare. */
const MAX_PARAM = 1_000;
/** How often to look for requests that take too long to come in, in ms. */
const CHECK_MS = 1_000;
/** After which a caller whose machine has vanished is asked whether he is there. */
const TCP_KEEPALIVE_MS = 10_000;

/** The HTTP side of a sidecar, not listening yet. */
export async function buildApp(context: SidecarContext): Promise<FastifyInstance> {
  const { clock, settings } = context;
  const { limits } = settings;
  const app = fastify({
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestTimeout,
    keepAliveTimeout: limits.idleTimeout,
    forceCloseConnections: 'idle',
    http: {
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEPALIVE_MS,
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersTimeout,
      connectionsCheckingInterval: CHECK_MS,
    },
    clientErrorHandler: refuseRaw,
    routerOptions: { maxParamLength: MAX_PARAM },
    // Every field that is wrong is named, nothing is turned into something else, and nothing is dropped.
    // `verbose` adds the schema to what is wrong, and so the names that there are.
    ajv: { customOptions: { allErrors: true, coerceTypes: false, removeAdditional: false, verbose: true } },
    frameworkErrors: (error, _request, reply) => void sendProblem(reply as never, toProblem(error)),
  });
  onlyJson(app);
  app.addHook('onSend', (_request, reply, payload, done) => {
    reply.header('x-content-type-options', 'nosniff');
    done(null, payload);
  });
  app.setErrorHandler((error, request, reply) => {
    const problem = toProblem(error);
    if (problem.code === 'INTERNAL' && !(error instanceof HungUp))
      warn(
        'NATS_SEMAPHORE_SIDECAR_FAILED',
        `${request.method} ${shownPath(request.url)}: ${(error as Error).stack}`,
      );
    return sendProblem(reply, problem);
  });
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, notFound(`there is no ${request.method} ${shownPath(request.url)}`)),
  );
  boundConnections(app, clock, limits.connections);
  guard(app, settings);
  measure(app, context);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'nats-semaphore sidecar',
        version: version(),
        description:
          'Semaphores, mutexes and locks on NATS JetStream, for programs in any language. All durations are in ms.',
      },
      ...(settings.token !== undefined && {
        components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
        security: [{ token: [] }],
      }),
    },
  });
  for (const routes of [
    slotRoutes,
    readWriteRoutes,
    permitRoutes,
    sessionRoutes,
    everythingRoutes,
    healthRoutes,
    pageRoutes,
  ]) {
    app.after(() => routes(app, context));
  }
  app.after(() => {
    app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
  });
  await app.ready();
  return app;
}

/** Bodies are JSON and say so: a form or a script of another site can not send that. None at all is an empty object. */
function onlyJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, {});
    else void parse(request, body as string, done);
  });
  app.addHook('preValidation', (request, _reply, done) => {
    const { body } = request;
    if (body === undefined || body === null) request.body = body === null ? notAnObject() : {};
    done();
  });
}

function notAnObject(): never {
  throw new Problem(400, 'INVALID_REQUEST', 'body must be object', [
    { field: 'body', message: 'must be object' },
  ]);
}

function measure(app: FastifyInstance, { metrics }: SidecarContext): void {
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'none';
    metrics.requested(reply.elapsedTime / 1000, route, request.method, reply.statusCode);
    done();
  });
}
