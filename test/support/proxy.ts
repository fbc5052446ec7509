import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { FrameCutter } from './frames';

/** What becomes of the bytes between client and server. */
type Mode = 'pass' | 'swallow answers' | 'stall';

/** A TCP link to a server on this machine that can be made to fail in the ways links fail. */
export class Proxy {
  private readonly pairs = new Set<Pair>();
  private mode: Mode = 'pass';
  private refusing = false;
  private delay = 0;
  private drop: ((frame: Buffer) => boolean) | undefined;

  private constructor(
    private readonly listener: Server,
    private readonly target: number,
  ) {
    listener.on('connection', (client) => this.link(client));
  }

  static async start(target: number): Promise<Proxy> {
    const listener = createServer();
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    return new Proxy(listener, target);
  }

  get url(): string {
    return `nats://127.0.0.1:${(this.listener.address() as AddressInfo).port}`;
  }

  /** Requests go through, their answers are lost. Only {@link cut} makes the link usable again. */
  swallowAnswers(): void {
    this.mode = 'swallow answers';
  }

  /** Half-open: nothing goes through in either direction, and nobody is told. Only {@link cut} mends it. */
  stall(): void {
    this.mode = 'stall';
  }

  /** From now on everything takes `ms` longer in each direction; with `Infinity` it waits for {@link hurry}. */
  slow(ms: number): void {
    this.delay = ms;
  }

  /** Ends {@link slow}. What was held up is delivered now, late. */
  hurry(): void {
    this.delay = 0;
    for (const { up, down } of this.pairs) {
      up.flush();
      down.flush();
    }
  }

  /** Messages to the client of which `drop` says so never arrive; undefined: all do. */
  dropFrames(drop: ((frame: Buffer) => boolean) | undefined): void {
    this.drop = drop;
  }

  /** Breaks all connections. New ones work, unless {@link refuse} says otherwise. */
  cut(): void {
    this.mode = 'pass';
    for (const { client, server } of this.pairs) {
      client.destroy();
      server.destroy();
    }
    this.pairs.clear();
  }

  refuse(refusing: boolean): void {
    this.refusing = refusing;
    if (refusing) this.cut();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.listener.close(resolve));
  }

  private link(client: Socket): void {
    client.on('error', () => undefined);
    if (this.refusing) return void client.destroy();
    const server = connect(this.target, '127.0.0.1');
    server.on('error', () => client.destroy());
    const pair = { client, server, up: new Lane(server), down: new Lane(client) };
    const frames = new FrameCutter();
    this.pairs.add(pair);
    client.on('data', (data) => {
      if (this.mode !== 'stall') pair.up.send(data, this.delay);
    });
    server.on('data', (data) => {
      // Cut up all the time, so that it is known where a message begins when some are to be dropped.
      const whole = frames.push(data);
      if (this.mode !== 'pass') return;
      for (const frame of whole) if (this.drop?.(frame) !== true) pair.down.send(frame, this.delay);
    });
    const forget = (): void => {
      this.pairs.delete(pair);
      pair.up.clear();
      pair.down.clear();
    };
    client.on('close', () => (forget(), server.destroy()));
    server.on('close', () => (forget(), client.destroy()));
  }
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  readonly up: Lane;
  readonly down: Lane;
}

/** One direction of a connection: delivers in order, later if told so. */
class Lane {
  private readonly queue: Buffer[] = [];
  private readonly timers = new Set<NodeJS.Timeout>();

  constructor(private readonly to: Socket) {}

  send(data: Buffer, delay: number): void {
    if (delay === 0 && this.queue.length === 0) return void this.to.write(data);
    this.queue.push(data);
    if (delay === Infinity) return;
    // Whichever timer fires delivers what is first: the order stays.
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      const first = this.queue.shift();
      if (first !== undefined) this.to.write(first);
    }, delay);
    this.timers.add(timer);
  }

  flush(): void {
    const all = this.queue.splice(0);
    this.clear();
    for (const data of all) this.to.write(data);
  }

  clear(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    this.queue.length = 0;
  }
}
