import { within } from '../../support/random';
import { HOSTILE_HEADER, HOSTILE_HOLDER } from './marks';

/** Forged values, headers and ids, at random. */
export class Forgery {
  constructor(
    readonly random: () => number,
    private readonly bucket: string,
  ) {}

  one<T>(some: readonly T[]): T {
    return some[within(this.random, 0, some.length - 1)] as T;
  }

  id(): string {
    return Array.from({ length: 16 }, () => this.one([...'ABCDEFGHabcdefgh0123456789'])).join('');
  }

  /** A header block: the mark of the hostile client first, then the lines. */
  block(lines: readonly string[], status = ''): Buffer {
    return Buffer.from(
      [`NATS/1.0${status}`, `${HOSTILE_HEADER}: 1`, ...lines, '', ''].join('\r\n'),
      'latin1',
    );
  }

  /**
   * Headers that the server writes itself, by a client.
   * @param key of the entry that it is to look like
   */
  copied(key: string, latest: number, writeId: string): string[] {
    const sequence = this.one([
      `${latest}`,
      `${latest - 1}`,
      '9007199254740000',
      '9223372036854775807',
      '-1',
      'x',
      '',
    ]);
    const all: Readonly<Record<string, readonly string[]>> = {
      'Nats-Subject': [`$KV.${this.bucket}.${key}`, '$KV.OTHER.sem.x.limit', ''],
      'Nats-Sequence': [sequence],
      'Nats-Time-Stamp': ['2026-03-01T12:00:00.000Z', '2126-01-01T00:00:00Z', 'now', ''],
      'Nats-Stream': [`KV_${this.bucket}`, 'KV_OTHER'],
      'Nats-Last-Sequence': ['0', sequence],
      'Nats-Num-Pending': ['0', '1000'],
      'Nats-UpTo-Sequence': [sequence],
      'Semaphore-Write': [writeId, this.id()],
      'Nats-Msg-Id': [this.id()],
    };
    const names = Object.keys(all).filter(() => this.random() < 0.4);
    return names.flatMap((name) =>
      // Sometimes several.
      Array.from({ length: this.random() < 0.2 ? 2 : 1 }, () => `${name}: ${this.one(all[name] ?? [])}`),
    );
  }

  /** Header lines that client libraries refuse, or read as something else. */
  malformed(): string {
    return this.one([
      'A b: c',
      'A: b\rc',
      ': x',
      'no colon',
      '\u00ff\u00fe: \u00ff',
      'nats-subject: x',
      `Long: ${'x'.repeat(2_000)}`,
      'A:',
      '\u0000: \u0000',
    ]);
  }

  /** A value that no client writes. */
  garbage(): Buffer {
    const deep = within(this.random, 9, 4_000);
    return this.one<() => Buffer>([
      () => Buffer.from(''),
      () => Buffer.from(`{"v":${'['.repeat(deep)}${']'.repeat(deep)}}`),
      () => Buffer.from('{"v":1,"x":'.padEnd(within(this.random, 20, 2_000), '{"a":')),
      () => Buffer.from([0xff, 0xfe, 0x7b, 0x7d]),
      () => Buffer.from('\ufeff{"v":1,"slots":9}'),
      () =>
        Buffer.from(JSON.stringify({ v: 1, permit: 'p', x: 'y'.repeat(within(this.random, 100, 3_000)) })),
      () => Buffer.from('1e999'),
      () => Buffer.from('[]'),
      () => Buffer.from('{"__proto__":{"v":1},"constructor":1,"v":1}'),
      () => Buffer.from(this.random().toString()),
    ])();
  }

  /** A record of the protocol, every other time with fields out of bounds. */
  record(
    fields: Readonly<Record<string, unknown>>,
    wrong: Readonly<Record<string, readonly unknown[]>>,
  ): Buffer {
    const made: Record<string, unknown> = {
      v: 1,
      holder: HOSTILE_HOLDER,
      since: '2026-03-01T12:00:00.000Z',
      ...fields,
    };
    if (this.random() < 0.5) return Buffer.from(JSON.stringify(made));
    for (const [name, values] of Object.entries({ ...ALWAYS_WRONG, ...wrong }))
      if (this.random() < 0.25) made[name] = this.one(values);
    return Buffer.from(JSON.stringify(made));
  }
}

const ALWAYS_WRONG: Readonly<Record<string, readonly unknown[]>> = {
  v: [2, '1', null],
  since: ['not a date', 7],
  holder: ['x'.repeat(1_025), 7, { toString: 1 }],
  meta: [{ a: 1 }, [], 'x'.repeat(2_000)],
};
