import type { TObject } from '@sinclair/typebox';
import type { FastifyInstance } from 'fastify';
import { sleep } from '../../core/clock';
import type { PrimitiveStatus } from '../../overview';
import type { Watchable } from '../../slot-lock';
import type { SidecarContext } from '../context';
import { toProblem } from '../problem';
import { NameParams, PermitParams, Released, answers } from '../schemas';
import { toWire } from '../wire';

/** Changes are gathered for this long. */
const GATHER_MS = 100;

/** What operators do to a primitive of whatever kind, and see of it. */
export function operatorRoutes(
  app: FastifyInstance,
  { clock, streams }: SidecarContext,
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
      schema: {
        tags: [path],
        summary: `The status of a ${kind} now, and again after every change`,
        description: 'Server-sent events named `status`. Who reads slowly is given the latest.',
        params: NameParams,
        produces: ['text/event-stream'],
      },
    },
    async (request, reply) => {
      const watched = open((request.params as NameParams).name);
      const left = new AbortController();
      const stream = streams.begin(reply);
      stream.onClose(() => left.abort());
      try {
        for await (const now of watched.watch({ signal: left.signal })) {
          stream.send('status', toWire(now));
          await sleep(clock, GATHER_MS, left.signal);
        }
      } catch (error) {
        stream.send('problem', toProblem(error).body(request.url));
      }
      stream.end();
    },
  );

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
}
