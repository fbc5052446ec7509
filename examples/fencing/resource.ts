import { once } from 'node:events';
import { type IncomingMessage, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One attempt to write, and what became of it. */
export interface Attempt {
  readonly writer: string;
  readonly token: bigint;
  readonly accepted: boolean;
}

/** A resource that runs: an HTTP service that takes `PUT` with the headers `Writer` and `Fencing-Token`. */
export interface Resource {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves a resource. 204: written; 409: a newer holder has been here.
 * @param write decides; see `fenced-file.ts`
 */
export async function serve(
  write: (token: bigint, text: string) => boolean,
  tell: (attempt: Attempt) => void,
): Promise<Resource> {
  const server = createServer((request, response) => {
    void (async () => {
      const text = await bodyOf(request);
      const token = BigInt(String(request.headers['fencing-token']));
      const accepted = write(token, text);
      response.writeHead(accepted ? 204 : 409).end();
      tell({ writer: String(request.headers.writer), token, accepted });
    })().catch((error: unknown) => response.writeHead(400).end(String(error)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async close() {
      server.closeAllConnections();
      await once(server.close(), 'close');
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  request.setEncoding('utf8');
  let body = '';
  for await (const chunk of request) body += chunk as string;
  return body;
}
