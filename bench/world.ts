import type { ConnectOptions } from '../src';
import { TestCluster, TestServer } from '../src/testing';
import type { Contender } from './contender';
import { RedisServer } from './redis-server';
import { WorkerProcess } from './worker-process';

/** Everything a scenario measures against: started when first asked for, stopped together at the end. */
export class World implements AsyncDisposable {
  /** Why there is no redis-server, if there is none. */
  redisMissing: string | undefined;
  private readonly stack = new AsyncDisposableStackLike();
  private servers: Promise<TestServer> | undefined;
  private clusters: Promise<TestCluster> | undefined;
  private redisServers: Promise<RedisServer | undefined> | undefined;

  /** @param quick fewer repetitions: a look, not a result */
  constructor(readonly quick: boolean) {}

  /** A number of repetitions: that of a full run, or a fifth of it. */
  times(full: number): number {
    return this.quick ? Math.max(1, Math.round(full / 5)) : full;
  }

  server(): Promise<TestServer> {
    this.servers ??= TestServer.start().then((server) => this.stack.add(server, () => server.stop()));
    return this.servers;
  }

  cluster(): Promise<TestCluster> {
    this.clusters ??= TestCluster.start().then((cluster) => this.stack.add(cluster, () => cluster.stop()));
    return this.clusters;
  }

  redis(): Promise<RedisServer | undefined> {
    this.redisServers ??= RedisServer.start().then(
      (redis) => this.stack.add(redis, () => redis.stop()),
      (error: unknown) => {
        this.redisMissing = String(error);
        return undefined;
      },
    );
    return this.redisServers;
  }

  /** The library on the one server, in a bucket of its own. */
  async library(options: ConnectOptions & { bucket: string }): Promise<Contender> {
    return { kind: 'library', options: { servers: (await this.server()).url, ...options } };
  }

  async raw(bucket: string): Promise<Contender> {
    return { kind: 'raw', url: (await this.server()).url, bucket };
  }

  /** redis-semaphore with the options it has by default; undefined if there is no redis-server. */
  async redisSemaphore(): Promise<Contender | undefined> {
    const redis = await this.redis();
    return redis && { kind: 'redis-semaphore', port: redis.port };
  }

  async redlock(): Promise<Contender | undefined> {
    const redis = await this.redis();
    return redis && { kind: 'redlock', port: redis.port };
  }

  workers(count: number): Promise<WorkerProcess[]> {
    return Promise.all(Array.from({ length: count }, () => WorkerProcess.start()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack.dispose();
  }
}

/** Node 20 has no AsyncDisposableStack. */
class AsyncDisposableStackLike {
  private readonly ends: (() => Promise<unknown>)[] = [];

  add<T>(thing: T, end: () => Promise<unknown>): T {
    this.ends.push(end);
    return thing;
  }

  async dispose(): Promise<void> {
    for (const end of this.ends.splice(0).reverse()) await end();
  }
}
