import type { FastifyInstance } from 'fastify';
import { onAbort } from '../../runtime/on-abort';
import type { SidecarContext } from '../context';
import { Empty, IdParams, Session, SessionRequest, answers, streamAnswers } from '../schemas';

const DEFAULT_TTL_MS = 15_000;

/** Sessions: whatever is acquired under one is held as long as it lasts. */
export function sessionRoutes(app: FastifyInstance, { drain, sessions, streams }: SidecarContext): void {
  const tags = ['sessions'];
  const idOf = (params: unknown): string => (params as IdParams).id;

  app.post(
    '/v1/sessions',
    {
      schema: { tags, summary: 'Begin a session', body: SessionRequest, response: answers({ 201: Session }) },
    },
    (request, reply) => {
      drain.check();
      const session = sessions.open((request.body as SessionRequest).ttl ?? DEFAULT_TTL_MS);
      return reply.code(201).header('location', `/v1/sessions/${session.id}`).send(session.view());
    },
  );
  app.get(
    '/v1/sessions/:id',
    {
      schema: {
        tags,
        summary: 'What it holds',
        params: IdParams,
        response: answers({ 200: Session }, 404, 410),
      },
    },
    (request) => sessions.get(idOf(request.params)).view(),
  );
  app.post(
    '/v1/sessions/:id/keepalive',
    {
      schema: {
        tags,
        summary: 'A sign of life',
        params: IdParams,
        response: answers({ 200: Session }, 404, 410),
      },
    },
    (request) => {
      const session = sessions.get(idOf(request.params));
      session.keepAlive();
      return session.view();
    },
  );
  app.get(
    '/v1/sessions/:id/events',
    {
      exposeHeadRoute: false,
      schema: {
        tags,
        summary: 'Keep a session alive, and hear of permits that are lost',
        description:
          'Server-sent events: `lost` with the permit and the reason, `draining` when the sidecar is about to end, `ended`. **The session ends when this stream is closed**, by whichever side.',
        params: IdParams,
        response: streamAnswers(404, 410),
      },
    },
    (request, reply) => {
      const session = sessions.get(idOf(request.params));
      const stream = streams.begin(reply);
      const leave = session.listen({
        lost: (permit) => stream.send('lost', permit),
        ended: (reason) => {
          stream.send('ended', { reason });
          stream.end();
        },
      });
      stream.onClose(leave);
      stream.send('session', session.view());
      stream.onClose(onAbort(drain.signal, () => stream.send('draining', {})));
    },
  );
  app.delete(
    '/v1/sessions/:id',
    {
      schema: {
        tags,
        summary: 'End a session and release what it holds',
        params: IdParams,
        response: answers({ 204: Empty }, 404, 410),
      },
    },
    async (request, reply) => {
      await sessions.close(idOf(request.params));
      return reply.code(204).send();
    },
  );
}
