/** `scripts/nats-server` in a project of its own, with real curl, tar and hashes: what it fetches, keeps and uses. */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type RequestListener, type Server, createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Certificates } from '../support/certificates';
import { scratchDirectory } from '../support/scratch';
import { describeWith } from '../support/tools';

const ROOT = join(__dirname, '..', '..');
// No apt-get, and no nats-server.
const TOOLS = (
  'awk basename bash cat chmod curl cut dirname env find flock grep gzip head id mkdir mktemp mv rm ' +
  'sed sh sha256sum shasum sleep sort tar timeout touch uname'
).split(' ');
const RELEASE = 'v2.99.1';

describeWith('curl', 'scripts/nats-server', () => {
  let certificates: Certificates;
  let dir: string;
  let cached: string;
  let ran: string;
  let env: NodeJS.ProcessEnv;
  let servers: Server[] = [];

  beforeAll(async () => void (certificates = await Certificates.make()));
  afterAll(() => certificates[Symbol.dispose]());
  beforeEach(() => {
    const files = scratchDirectory();
    dir = files.path;
    for (const each of ['scripts', 'bin', '.cache/nats-server'])
      mkdirSync(join(dir, each), { recursive: true });
    for (const file of ['nats-server', 'fetch.bash'])
      copyFileSync(join(ROOT, 'scripts', file), join(dir, 'scripts', file));
    for (const tool of TOOLS) {
      const places = (process.env.PATH ?? '').split(':').map((place) => join(place, tool));
      const found = places.find((place) => existsSync(place));
      if (found !== undefined) symlinkSync(found, join(dir, 'bin', tool));
    }
    cached = join(dir, '.cache', 'nats-server', 'nats-server');
    ran = join(dir, 'ran');
    env = {
      PATH: join(dir, 'bin'),
      HOME: join(dir, 'home'),
      CURL_CA_BUNDLE: files.write('ca.pem', certificates.ca),
      NATS_SERVER_RELEASE: RELEASE,
    };
  });
  afterEach(async () => {
    for (const each of servers) {
      each.closeAllConnections();
      each.close();
      await once(each, 'close');
    }
    servers = [];
  });

  /** What runs in place of a server, and leaves a trace. */
  const program = (): string => `#!/bin/sh\ntouch "${ran}"\necho "nats-server: ${RELEASE}"\n`;
  const hash = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');

  function path(more: NodeJS.ProcessEnv = {}): Promise<{ code: unknown; stdout: string; stderr: string }> {
    return new Promise((resolve) => {
      execFile(
        'bash',
        [join(dir, 'scripts', 'nats-server'), 'path'],
        { env: { ...env, ...more } },
        (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout: stdout.trim(), stderr }),
      );
    });
  }

  async function listen(server: Server): Promise<number> {
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }
  async function https(answer: RequestListener): Promise<string> {
    const [cert, key] = [certificates.file('cert.pem'), certificates.file('key.pem')].map((file) =>
      readFileSync(file),
    );
    return `https://localhost:${await listen(createHttpsServer({ cert, key }, answer))}`;
  }

  /** The archive of a release for this platform. */
  function archive(): Buffer {
    const system = process.platform === 'darwin' ? 'darwin' : 'linux';
    const name = `nats-server-${RELEASE}-${system}-${process.arch === 'arm64' ? 'arm64' : 'amd64'}`;
    mkdirSync(join(dir, name));
    writeFileSync(join(dir, name, 'nats-server'), program(), { mode: 0o755 });
    execFileSync('tar', ['-czf', join(dir, 'a.tar.gz'), '-C', dir, name]);
    return readFileSync(join(dir, 'a.tar.gz'));
  }

  it('uses a release whose hash the caller gives, and its copy as long as that is the same', async () => {
    const packed = archive();
    const asked: (string | undefined)[] = [];
    const url = await https((request, response) => {
      asked.push(request.url);
      response.end(packed);
    });
    const given = { NATS_SERVER_RELEASES: url, NATS_SERVER_SHA256: hash(packed) };
    expect(await path(given)).toMatchObject({ code: 0, stdout: cached });
    expect(await path()).toMatchObject({ code: 0, stdout: cached, stderr: '' });
    expect(asked).toHaveLength(1);

    rmSync(ran);
    appendFileSync(cached, '# changed\n');
    const refused = await path();
    expect([refused.code, refused.stdout]).toEqual([1, '']);
    expect(refused.stderr).toContain(`${cached} is not used`);
    expect(existsSync(ran)).toBe(false);

    expect(await path(given)).toMatchObject({ code: 0, stdout: cached });
    expect(asked).toHaveLength(2);
    expect(readFileSync(cached, 'utf8')).toBe(program());
  });

  it('does not run a copy of which no hash is recorded', async () => {
    writeFileSync(cached, program(), { mode: 0o755 });
    for (const record of [undefined, '', `${hash('x')}  other\n`]) {
      if (record !== undefined) writeFileSync(`${cached}.sha256`, record);
      expect(await path()).toMatchObject({ code: 1, stdout: '' });
      expect(existsSync(ran)).toBe(false);
    }
    writeFileSync(`${cached}.sha256`, `${hash(program())}  nats-server\n`);
    expect(await path()).toMatchObject({ code: 0, stdout: cached });
  });

  it('does not run a release with another hash, and asks for none without', async () => {
    const packed = archive();
    let asked = 0;
    const url = await https((_, response) => {
      asked++;
      response.end(packed);
    });
    const none = await path({ NATS_SERVER_RELEASES: url });
    expect([none.code, asked]).toEqual([1, 0]);
    expect(none.stderr).toContain('NATS_SERVER_SHA256 is not set');
    const other = await path({ NATS_SERVER_RELEASES: url, NATS_SERVER_SHA256: hash('other') });
    expect([other.code, other.stdout, asked]).toEqual([1, '', 1]);
    expect(other.stderr).toContain('is not that of NATS_SERVER_SHA256');
    expect((await path({ NATS_SERVER_RELEASES: url, NATS_SERVER_SHA256: 'abc' })).stderr).toContain(
      '64 digits',
    );
    expect([asked, existsSync(ran), existsSync(cached)]).toEqual([1, false, false]);
  });

  it('asks nothing over http, also when it is sent there', async () => {
    const packed = archive();
    let asked = 0;
    const plain = `http://127.0.0.1:${await listen(
      createHttpServer((_, response) => {
        asked++;
        response.end(packed);
      }),
    )}`;
    const redirecting = await https((request, response) =>
      response.writeHead(302, { location: `${plain}${request.url}` }).end(),
    );
    for (const [url, why] of [
      [plain, 'only https:// is allowed'],
      [redirecting, 'could not be downloaded'],
    ] as const) {
      const { code, stderr, stdout } = await path({
        NATS_SERVER_RELEASES: url,
        NATS_SERVER_SHA256: hash(packed),
      });
      expect([code, stdout, asked]).toEqual([1, '', 0]);
      expect(stderr).toContain(why);
    }
    expect(existsSync(ran)).toBe(false);
  });
});
