import type { TObject } from '@sinclair/typebox';
import type { FastifyInstance } from 'fastify';
import type { PrimitiveStatus } from '../../api/overview';
import type { Watchable } from '../../api/slot-lock';
import type { SidecarContext } from '../context';
import { NameParams, PermitParams, Released, RemoveQuery, Removed, answers, streamAnswers } from '../schemas';
import { shownPath } from '../secret';
import { toWire } from '../wire';

/** The status of a primitive of whatever kind, and what operators do to it, unless that is left out. */
export function operatorRoutes(
  app: FastifyInstance,
  { feeds, settings, streams }: SidecarContext,
  {
    kind,
    path,
    status,
    open,
  }: { kind: string; path: string; status: TObject; open: (name: string) => Watchable<PrimitiveStatus> },
): void {
  app.get(
    `/v1/${path}/:name`,
    {
      schema: {
        tags: [path],
        summary: `Who holds a ${kind} and who queues for it`,
        params: NameParams,
        response: answers({ 200: status }),
      },
    },
    async (request) => toWire(await open((request.params as NameParams).name).status()),
  );

  app.get(
    `/v1/${path}/:name/events`,
    {
      exposeHeadRoute: false,
      schema: {
        tags: [path],
        summary: `The status of a ${kind} now, and again after every change`,
        description: 'Server-sent events named `status`. Who reads slowly is given the latest.',
        params: NameParams,
        response: streamAnswers(),
      },
    },
    (request, reply) => {
      const { name } = request.params as NameParams;
      const watched = open(name);
      const stream = streams.begin(reply);
      feeds.add(shownPath(request.url), stream, watched);
    },
  );

  if (!settings.operator) return;
  app.delete(
    `/v1/${path}/:name/permits/:id`,
    {
      schema: {
        tags: [path],
        summary: `Take a permit of a ${kind} away from whoever holds it`,
        description:
          'For operators: the slot may be granted to others before its holder has stopped. Who only gives back what is his own uses `DELETE /v1/permits/{id}`.',
        params: PermitParams,
        response: answers({ 200: Released }),
      },
    },
    async (request) => {
      const { name, id } = request.params as PermitParams;
      return { released: await open(name).forceRelease(id) };
    },
  );

  app.delete(
    `/v1/${path}/:name`,
    {
      schema: {
        tags: [path],
        summary: `Remove all entries of a ${kind}`,
        description:
          'For operators: with its stored limit. Refused with 409 `IN_USE` while a permit is held or a waiter queues; with `force`, permits are taken away and waiters end.',
        params: NameParams,
        querystring: RemoveQuery,
        response: answers({ 200: Removed }),
      },
    },
    async (request) => {
      const { name } = request.params as NameParams;
      const { force } = request.query as RemoveQuery;
      return { removed: await open(name).remove({ force: force === 'true' }) };
    },
  );
}
