/** What the bench uses of redlock, whose own types are not reachable through its `exports`. */
declare module 'redlock' {
  import type { Redis } from 'ioredis';

  export default class Redlock {
    constructor(clients: Iterable<Redis>);
    acquire(resources: string[], duration: number): Promise<{ release(): Promise<unknown> }>;
  }
}
