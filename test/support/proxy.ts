import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';

/** What becomes of the bytes between client and server. */
type Mode = 'pass' | 'swallow answers' | 'stall';

/** A TCP link to a server on this machine that can be made to fail in the ways links fail. */
export class Proxy {
  private readonly pairs = new Set<{ client: Socket; server: Socket }>();
  private mode: Mode = 'pass';
  private refusing = false;

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

  /** Half-open: nothing goes through in either direction, and nobody is told. */
  stall(): void {
    this.mode = 'stall';
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
    const pair = { client, server };
    this.pairs.add(pair);
    client.on('data', (data) => {
      if (this.mode !== 'stall') server.write(data);
    });
    server.on('data', (data) => {
      if (this.mode === 'pass') client.write(data);
    });
    client.on('close', () => server.destroy());
    server.on('close', () => client.destroy());
  }
}
