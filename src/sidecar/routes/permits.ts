import type { FastifyInstance } from 'fastify';
import type { SidecarContext } from '../context';
import { IdParams, Permit, ReleaseRequest, Released, RenewRequest, answers } from '../schemas';

/** What a caller does with a permit of his own, whatever it is of. */
export function permitRoutes(app: FastifyInstance, { permits }: SidecarContext): void {
  const tags = ['permits'];
  const idOf = (params: unknown): string => (params as IdParams).id;

  app.get(
    '/v1/permits/:id',
    {
      schema: {
        tags,
        summary: 'Whether it is still held',
        params: IdParams,
        response: answers({ 200: Permit }, 404, 410),
      },
    },
    (request) => permits.show(idOf(request.params)),
  );
  app.post(
    '/v1/permits/:id/renew',
    {
      schema: {
        tags,
        summary: 'Prolong a hold',
        description: 'Without a session this has to come within the ttl, or the permit is lost.',
        params: IdParams,
        body: RenewRequest,
        response: answers({ 200: Permit }, 404, 410),
      },
    },
    (request) => permits.renew(idOf(request.params), (request.body as RenewRequest).ttl),
  );
  app.post(
    '/v1/permits/:id/release',
    {
      schema: {
        tags,
        summary: 'Give back all slots, or some of them',
        params: IdParams,
        body: ReleaseRequest,
        response: answers({ 200: Released }, 404, 410),
      },
    },
    async (request) => ({
      released: await permits.release(idOf(request.params), (request.body as ReleaseRequest).count),
    }),
  );
  app.delete(
    '/v1/permits/:id',
    {
      schema: {
        tags,
        summary: 'Give back a permit',
        description: 'Safe to repeat: `released` is false the second time.',
        params: IdParams,
        response: answers({ 200: Released }, 404, 410),
      },
    },
    async (request) => ({ released: await permits.release(idOf(request.params)) }),
  );
}
