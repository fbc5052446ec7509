import type { FastifyInstance } from 'fastify';
import type { SidecarContext } from '../context';
import { PrimitiveList, answers, streamAnswers } from '../schemas';

/** All primitives of the bucket together. */
export function everythingRoutes(app: FastifyInstance, { dispatcher, hub, streams }: SidecarContext): void {
  app.get(
    '/v1/primitives',
    {
      schema: {
        tags: ['everything'],
        summary: 'What exists in the bucket',
        response: answers({ 200: PrimitiveList }),
      },
    },
    async () => ({ primitives: await dispatcher.list() }),
  );
  app.get(
    '/v1/events',
    {
      exposeHeadRoute: false,
      schema: {
        tags: ['everything'],
        summary: 'Everything in the bucket, and every change of it',
        description:
          'Server-sent events: `snapshot` with all primitives and the holds of the last minutes, then `change` with those that have changed, at most ten times a second; `backend` when the NATS server goes out of reach and when it is back. A reader that does not keep up is given a new `snapshot`; one that reads nothing loses the stream, with a `problem` if it can still be told.',
        response: streamAnswers(),
      },
    },
    (_request, reply) => hub.add(streams.begin(reply)),
  );
}
