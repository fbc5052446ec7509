import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Order, acquireFor } from '../acquire';
import type { SidecarContext } from '../context';
import type { Permit } from '../../api/permit';
import type { PrimitiveStatus } from '../../api/overview';
import type { Watchable } from '../../api/slot-lock';
import {
  LockRequest,
  NameParams,
  Permit as PermitSchema,
  OwnSemaphoreRequest,
  SemaphoreRequest,
  SlotStatus,
  answers,
} from '../schemas';
import { operatorRoutes } from './operator';

interface Lockable extends Watchable<PrimitiveStatus> {
  acquire(options: Order): Promise<Permit>;
}

/** Semaphores and mutexes: to acquire, to look at, to watch, and to release by force. */
export function slotRoutes(app: FastifyInstance, context: SidecarContext): void {
  const { dispatcher, settings } = context;
  const kinds = [
    {
      kind: 'semaphore' as const,
      path: 'semaphores',
      body: settings.operator ? SemaphoreRequest : OwnSemaphoreRequest,
      open: (name: string, { slots, fair, limitPolicy }: SemaphoreRequest): Lockable =>
        dispatcher.semaphore(name, slots, { fair, limitPolicy }),
    },
    {
      kind: 'mutex' as const,
      path: 'mutexes',
      body: LockRequest,
      open: (name: string, { fair }: SemaphoreRequest): Lockable => dispatcher.mutex(name, { fair }),
    },
  ];
  for (const { kind, path, body, open } of kinds) {
    app.post(
      `/v1/${path}/:name/permits`,
      {
        schema: {
          tags: [path],
          summary: `Wait for a permit of a ${kind}`,
          description:
            'Waits as long as `timeout` says. If the caller hangs up, the wait ends and what was granted is given back.',
          params: NameParams,
          body,
          response: answers({ 201: PermitSchema }, 409, 410),
        },
      },
      async (request: FastifyRequest, reply: FastifyReply) => {
        const { name } = request.params as NameParams;
        const asked = request.body as SemaphoreRequest;
        const lock = open(name, asked);
        const view = await acquireFor(context, reply, { kind, name }, asked, (order) => lock.acquire(order));
        return reply.code(201).header('location', `/v1/permits/${view.id}`).send(view);
      },
    );
    operatorRoutes(app, context, { kind, path, status: SlotStatus, open: (name) => open(name, {}) });
  }
}
