import type { FastifyInstance } from 'fastify';
import type { SidecarContext } from '../context';
import { Problem } from '../problem';
import { whyUnhealthy } from '../reach';
import { Health, answers } from '../schemas';

/** For whoever runs the sidecar: whether it lives, whether it can be used, and its metrics. */
export function healthRoutes(
  app: FastifyInstance,
  { dispatcher, drain, metrics, reach, settings }: SidecarContext,
): void {
  const tags = ['health'];
  app.get(
    '/healthz',
    {
      schema: {
        tags,
        summary: 'Whether the process lives, and not only a restart can bring it back in touch with NATS',
        response: answers({ 200: Health }),
      },
    },
    () => {
      const why = whyUnhealthy(dispatcher, settings.unhealthyAfter);
      if (why !== undefined) throw new Problem(503, 'BACKEND_UNAVAILABLE', why);
      return { status: 'ok' };
    },
  );
  app.get(
    '/readyz',
    {
      schema: {
        tags,
        summary: 'Whether the NATS server can be reached and the sidecar is not about to end',
        description: 'The server is asked at most once a second.',
        response: answers({ 200: Health }),
      },
    },
    async () => {
      drain.check();
      const why = await reach.whyUnreachable();
      if (why !== undefined) throw new Problem(503, 'BACKEND_UNAVAILABLE', why);
      return { status: 'ready' };
    },
  );
  app.get(
    '/metrics',
    { schema: { tags, summary: 'Metrics, as Prometheus reads them', produces: ['text/plain'] } },
    (request, reply) => {
      reply.hijack();
      metrics.write(request.raw, reply.raw);
    },
  );
}
