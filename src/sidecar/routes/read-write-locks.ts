import type { FastifyInstance } from 'fastify';
import { acquireFor } from '../acquire';
import type { SidecarContext } from '../context';
import { LockRequest, Permit, ReadWriteLockStatus, SideParams, answers } from '../schemas';
import { operatorRoutes } from './operator';

/** Read-write locks: to acquire either side, to look at, to watch, and to release by force. */
export function readWriteRoutes(app: FastifyInstance, context: SidecarContext): void {
  const { dispatcher } = context;
  const path = 'read-write-locks';
  app.post(
    `/v1/${path}/:name/:side/permits`,
    {
      schema: {
        tags: [path],
        summary: 'Wait for a permit to read or to write',
        description:
          'Waits as long as `timeout` says. If the caller hangs up, the wait ends and what was granted is given back.',
        params: SideParams,
        body: LockRequest,
        response: answers({ 201: Permit }, 409, 410),
      },
    },
    async (request, reply) => {
      const { name, side } = request.params as SideParams;
      const asked = request.body as LockRequest;
      const lock = dispatcher.readWriteLock(name, { fair: asked.fair })[side];
      const what = { kind: 'read-write-lock', name, mode: side } as const;
      const view = await acquireFor(context, reply, what, asked, (order) => lock.acquire(order));
      return reply.code(201).header('location', `/v1/permits/${view.id}`).send(view);
    },
  );
  operatorRoutes(app, context, {
    kind: 'read-write lock',
    path,
    status: ReadWriteLockStatus,
    open: (name) => dispatcher.readWriteLock(name),
  });
}
