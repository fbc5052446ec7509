import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../runtime/clock';
import { full } from './limits';

/** Connections beyond the bound that are let in, so that probes are answered also when the sidecar is full. */
const SPARE = 32;
/** How long each of these may last, in ms. */
const SPARE_MS = 2_000;
const PROBES = /^\/(healthz|readyz)(\?|$)/;

/** Bounds the open connections of a server. One beyond the bound is answered 503, except to a probe, and closed. */
export function boundConnections(app: FastifyInstance, clock: Clock, most: number): void {
  const { server } = app;
  const spare = new WeakSet<Socket>();
  let open = 0;
  server.maxConnections = most + SPARE;
  server.on('connection', (socket: Socket) => {
    open++;
    socket.once('close', () => open--);
    if (open <= most) return;
    spare.add(socket);
    const cancel = clock.after(SPARE_MS, () => socket.destroy());
    socket.once('close', cancel);
  });
  app.addHook('onRequest', (request, reply, done) => {
    if (spare.has(request.socket)) {
      void reply.header('connection', 'close');
      if (!PROBES.test(request.url))
        throw full(`the sidecar has ${most} connections, the most that it takes`);
    }
    done();
  });
}
