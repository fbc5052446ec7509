import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { freePorts } from '../src/testing/free-ports';
import { packageFile } from '../src/runtime/package-root';
import { reaper } from '../src/testing/reaper';
import { pause } from './measure';

const START_MS = 180_000;
const POLL_MS = 50;

/** A redis-server that keeps nothing, on a port of 127.0.0.1. */
export class RedisServer {
  private constructor(
    private readonly child: ChildProcess,
    readonly port: number,
    readonly version: string,
  ) {}

  /** Fetches one first where there is none. Throws with what it said if it does not come up. */
  static async start(): Promise<RedisServer> {
    const [port] = (await freePorts(1)) as [number];
    const settings = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    const child = spawn('bash', [packageFile('scripts/redis-server'), 'run', ...settings], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    if (child.pid !== undefined) reaper.watchChild(child.pid);
    let said = '';
    const hear = (data: Buffer): string => (said += data.toString());
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    const deadline = Date.now() + START_MS;
    while (!said.includes('Ready to accept connections')) {
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
        child.kill('SIGKILL');
        throw new Error(`redis-server did not start: ${said.trim()}`);
      }
      await pause(POLL_MS);
    }
    const redis = new Redis(port, '127.0.0.1');
    const version = /redis_version:(\S+)/.exec(await redis.info('server'))?.[1] ?? 'unknown';
    await redis.quit();
    return new RedisServer(child, port, version);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await ended;
    if (this.child.pid !== undefined) reaper.forgetChild(this.child.pid);
  }
}
