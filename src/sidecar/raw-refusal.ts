import type { Socket } from 'node:net';
import { STATUS_CODES } from 'node:http';
import { Problem } from './problem';

const PROBLEMS: Readonly<Record<string, Problem>> = {
  ERR_HTTP_REQUEST_TIMEOUT: new Problem(408, 'REQUEST_TIMEOUT', 'the request did not come in in time'),
  HPE_HEADER_OVERFLOW: new Problem(
    431,
    'HEADERS_TOO_LARGE',
    'the headers of the request are longer than allowed',
  ),
};
const NO_HTTP = new Problem(400, 'INVALID_REQUEST', 'this is not a request of HTTP/1.1');

/** Answers what never became a request: nothing of it is known but the connection, which is closed. */
export function refuseRaw(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const problem = PROBLEMS[error.code ?? ''] ?? NO_HTTP;
  const body = JSON.stringify(problem.body(''));
  socket.write(
    [
      `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
      'content-type: application/problem+json',
      `content-length: ${Buffer.byteLength(body)}`,
      'connection: close',
      '',
      body,
    ].join('\r\n'),
  );
  socket.destroySoon();
}
