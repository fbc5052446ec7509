import { get } from 'node:http';

/**
 * The JSON at a path of a local port, whatever the status: the health endpoint says with a 503 why it is not healthy.
 * Not `fetch`: its pooled connections outlive the call, and a test that looks for open handles would find them.
 */
export function httpJson<T>(port: number, path: string, timeout: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const url = `http://127.0.0.1:${port}/${path.replace(/^\//, '')}`;
    const request = get(url, { agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (body += chunk));
      response.on('error', reject);
      response.on('end', () => {
        try {
          resolve(JSON.parse(body) as T);
        } catch (error) {
          reject(
            new Error(`${url} answered ${response.statusCode} and no JSON: ${body.slice(0, 200)}`, {
              cause: error,
            }),
          );
        }
      });
    });
    // A stopped process still accepts connections, so only silence tells.
    request.setTimeout(timeout, () =>
      request.destroy(new Error(`${url} did not answer within ${timeout} ms`)),
    );
    request.on('error', reject);
  });
}
