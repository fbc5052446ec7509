import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { SidecarContext } from '../context';

const TYPES: Readonly<Record<string, string>> = {
  'index.html': 'text/html; charset=utf-8',
  'page.css': 'text/css; charset=utf-8',
  'page.js': 'text/javascript; charset=utf-8',
  'icon.svg': 'image/svg+xml',
};
/** Everything comes from here, and nothing that is not in these files runs. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The live page. Its files are made by `scripts/build-page.mjs`. */
export function pageRoutes(app: FastifyInstance, { settings }: SidecarContext): void {
  const folder = join(__dirname, '..', 'page', 'dist');
  const headers = {
    'content-security-policy': POLICY,
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-cache',
  };
  for (const [file, type] of Object.entries(TYPES)) {
    const body = readFileSync(join(folder, file), 'utf8').replaceAll(
      '__READ_ONLY__',
      String(settings.readOnly || !settings.operator),
    );
    const path = file === 'index.html' ? '/' : `/page/${file}`;
    app.get(path, { schema: { hide: true } }, (_request, reply) =>
      reply.headers(headers).type(type).send(body),
    );
  }
}
