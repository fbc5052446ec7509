import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { TestServer } from '../../src/testing';
import { eventually } from './eventually';
import { type Scratch, scratchDirectory } from './scratch';

const DOCKER = join(__dirname, '..', '..', 'docker');

/** A server whose configuration a test changes while it runs. */
export class GuardedServer implements AsyncDisposable {
  private constructor(
    readonly server: TestServer,
    private readonly scratch: Scratch,
  ) {}

  /** @param rules what its configuration says beside that of `docker/single.conf` */
  static async start(rules: string, options: { env?: Record<string, string> } = {}): Promise<GuardedServer> {
    const scratch = scratchDirectory();
    const config = scratch.write('server.conf', textOf(scratch, rules));
    return new GuardedServer(await TestServer.start({ ...options, config }), scratch);
  }

  get url(): string {
    return this.server.url;
  }

  /** `nats://LOGIN@host:port`. */
  urlWith(login: string): string {
    return this.url.replace('://', `://${login}@`);
  }

  /** Has the server go by other rules, and resolves once it does. */
  async reload(rules: string): Promise<void> {
    const loaded = async (): Promise<string> =>
      (await this.server.monitor<{ config_load_time: string }>('varz')).config_load_time;
    const before = await loaded();
    writeFileSync(join(this.scratch.path, 'server.conf'), textOf(this.scratch, rules));
    process.kill(this.server.pid ?? 0, 'SIGHUP');
    await eventually(async () => {
      if ((await loaded()) === before) throw new Error('the server has not reloaded its configuration');
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop();
  }
}

function textOf(scratch: Scratch, rules: string): string {
  // The server takes the path of an included file as relative, always.
  return `include "${relative(scratch.path, join(DOCKER, 'single.conf'))}"\n${rules}\n`;
}

/** Rules that let in one user. */
export const onlyUser = (user: string, password: string): string =>
  `authorization { users: [{ user: ${JSON.stringify(user)}, password: ${JSON.stringify(password)} }] }`;
