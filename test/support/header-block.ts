import type { Msg } from '@nats-io/transport-node';

/**
 * The headers of a message as the server has them, line by line. The clients refuse some blocks that a server takes, and
 * merge what comes twice; this reads all of them.
 */
export class HeaderBlock {
  /** Of the first line; 0: none. */
  readonly status: number;
  private readonly lines: readonly (readonly [name: string, value: string])[];

  /** @param text from `NATS/1.0` on; empty: a message without headers */
  constructor(text: string) {
    const [first = '', ...rest] = text.split('\r\n');
    this.status = Number(/^NATS\/1\.0 +(\d{3})/.exec(first)?.[1] ?? 0);
    this.lines = rest.flatMap((line) => {
      const colon = line.indexOf(':');
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1).trim()] as const];
    });
  }

  static of(message: Msg): HeaderBlock {
    // Neither is declared; both clients have them.
    const { _rdata: bytes, _msg: frame } = message as unknown as {
      _rdata?: Uint8Array;
      _msg?: { hdr?: number };
    };
    const length = Math.max(0, frame?.hdr ?? 0);
    return new HeaderBlock(Buffer.from((bytes ?? new Uint8Array()).subarray(0, length)).toString());
  }

  /** The last value of a header: what the server adds stands behind what the publisher wrote. Empty: there is none. */
  last(name: string): string {
    return this.lines.findLast(([other]) => other === name)?.[1] ?? '';
  }

  count(name: string): number {
    return this.lines.filter(([other]) => other === name).length;
  }
}
