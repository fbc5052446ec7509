import { type NatsConnection, headers } from '@nats-io/transport-node';

/** What the library's own writes look like, so that the floor carries the same bytes. */
const HOLD = JSON.stringify({
  v: 1,
  permit: 'abcdefghijklmnop',
  holder: 'some-host:12345',
  since: '2026-01-01T00:00:00.000Z',
  ttl: 30_000,
});

/** One slot, claimed and released by plain conditional publishes: the least that any client must do. */
export class RawSlot {
  private sequence = 0;
  private readonly subject: string;
  private readonly announced: string;

  constructor(
    private readonly connection: NatsConnection,
    bucket: string,
    name: string,
  ) {
    this.subject = `$KV.${bucket}.sem.${name}.slot.0`;
    this.announced = `$SEMAPHORE.${bucket}.*.sem.${name}.slot.0`;
  }

  async claim(): Promise<void> {
    try {
      await this.write(HOLD, '30s');
    } catch (error) {
      // The marker of the last release goes away after as long as the hold would have lasted; then nothing is there.
      if (this.sequence === 0 || !String(error).includes('wrong last sequence: 0')) throw error;
      this.sequence = 0;
      await this.write(HOLD, '30s');
    }
  }

  async release(): Promise<void> {
    await this.write('', '30s');
  }

  /** Resolves once it listens; `next` then resolves when somebody's release marker is heard, and has claimed upon it. */
  async onRelease(): Promise<{ readonly next: Promise<void> }> {
    const next = new Promise<void>((resolve, reject) => {
      this.connection.subscribe(this.announced, {
        max: 1,
        callback: (error, message) => {
          if (error !== null) return reject(error);
          this.sequence = Number(message.headers?.get('Nats-Sequence'));
          this.claim().then(resolve, reject);
        },
      });
    });
    await this.connection.flush();
    return { next };
  }

  private async write(value: string, ttl: string): Promise<void> {
    const h = headers();
    h.set('Nats-Expected-Last-Subject-Sequence', String(this.sequence));
    h.set('Semaphore-Write', 'abcdefghijklmnop');
    h.set('Nats-TTL', ttl);
    if (value === '') h.set('KV-Operation', 'PURGE');
    const ack = await this.connection.request(this.subject, value, { headers: h, timeout: 5_000 });
    const { seq, error } = ack.json<{ seq?: number; error?: { description: string } }>();
    if (seq === undefined || error !== undefined)
      throw new Error(`the server refused a raw write: ${error?.description}`);
    this.sequence = seq;
  }
}
