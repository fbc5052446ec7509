import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type Settings, isLoopback } from './options';
import { Problem } from './problem';

/** What needs no token: it says nothing of what is in the bucket. */
const OPEN = /^\/(healthz|readyz|page\/[\w.-]+)?(\?|$)/;
const SAFE_METHODS = new Set(['GET', 'HEAD']);

/**
 * Who may ask for what, before anything else is looked at:
 * - With a token, whoever sends it. Without one the sidecar listens on loopback only (see `options.ts`).
 * - No page of another site in a browser on this machine: neither under a name of its own that it made point here (the `Host`
 *   header), nor by a request across origins.
 * - Nobody who wants to change something, where the sidecar only shows.
 */
export function guard(app: FastifyInstance, settings: Settings): void {
  const { token, readOnly } = settings;
  app.addHook('onRequest', (request, _reply, done) => {
    checkHost(request, settings);
    checkOrigin(request);
    if (token !== undefined && !OPEN.test(request.url)) checkToken(request, token);
    if (readOnly && !SAFE_METHODS.has(request.method)) {
      throw new Problem(403, 'READ_ONLY', 'this sidecar only shows; nothing can be changed through it');
    }
    done();
  });
}

function checkHost({ headers }: FastifyRequest, { host, token, allowedHosts }: Settings): void {
  const named = (headers.host ?? '')
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
  if (isLoopback(named) || named === host || allowedHosts.includes(named)) return;
  // A page that made its name point here does not know the token.
  if (token !== undefined && allowedHosts.length === 0) return;
  throw new Problem(421, 'HOST_NOT_ALLOWED', `this sidecar does not answer to the host name "${named}"`);
}

function checkOrigin({ headers }: FastifyRequest): void {
  const { origin, host } = headers;
  const site = headers['sec-fetch-site'];
  const crossSite = site !== undefined && site !== 'same-origin' && site !== 'none';
  if ((origin !== undefined && origin.replace(/^https?:\/\//, '') !== host) || crossSite) {
    throw new Problem(403, 'CROSS_ORIGIN', 'pages of other sites may not use this sidecar');
  }
}

function checkToken({ headers }: FastifyRequest, token: string): void {
  const [, given] = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '') ?? [];
  if (given !== undefined && timingSafeEqual(digest(given), digest(token))) return;
  const why =
    given === undefined ? 'send the header Authorization: Bearer <token>' : 'the token is not the right one';
  throw new Problem(401, 'UNAUTHORIZED', why, [], { 'www-authenticate': 'Bearer' });
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
