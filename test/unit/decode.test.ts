/**
 * Values and messages that any client with write rights can make: none throws, and none is taken for more than the schema of
 * docs/protocol.md allows.
 */
import { describe, expect, it } from '@jest/globals';
import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import fc from 'fast-check';
import { SlotTable } from '../../src/state/slot-table';
import { strings } from '../../src/protocol/decode';
import { Keys } from '../../src/protocol/keys';
import { LatchTable, LatchKeys } from '../../src/latch/latch-table';
import {
  decodeHold,
  decodeLimit,
  decodeRound,
  decodeShare,
  decodeTicket,
  decodeWish,
  encodeRecord,
} from '../../src/protocol/records';
import type { Message } from '../../src/store/nats/connection';
import { BucketNames, messageToEntry } from '../../src/store/nats/wire';

const SINCE = '2026-03-01T12:00:00.000Z';
const HOLD = { permit: 'p1', holder: 'h', since: SINCE, ttl: 30_000 };
const TICKET = { holder: 'h', since: SINCE, ttl: 10_000, count: 1 };
const DECODERS = [decodeHold, decodeTicket, decodeLimit, decodeWish, decodeRound, decodeShare];
const deep = (levels: number, open = '[', close = ']') => open.repeat(levels) + close.repeat(levels);

describe('metadata', () => {
  it('is bounded by its bytes as JSON, whatever has to be escaped', () => {
    const escaped = fc.constantFrom('\0', '\n', '"', '\\', '\ud800', 'é', 'x');
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.string({ unit: escaped, maxLength: 30 }),
    );
    const found = new Set<boolean>();
    fc.assert(
      fc.property(
        fc.dictionary(text, text, { maxKeys: 4 }),
        fc.integer({ min: 2, max: 300 }),
        (value, most) => {
          const fits = Buffer.byteLength(JSON.stringify(value)) <= most;
          found.add(fits);
          expect(strings(most).allows(value, Infinity)).toBe(fits);
        },
      ),
      { numRuns: 2_000 },
    );
    // The most bytes of one character, and one byte more than allowed.
    expect(strings(14).allows({ a: '\0' }, Infinity)).toBe(true);
    expect(strings(13).allows({ a: '\0' }, Infinity)).toBe(false);
    expect(found).toEqual(new Set([true, false]));
  });
});

describe('a value', () => {
  it.each([
    ['ttl', [0, 999, 2 ** 31, 1e12, 1e308, -1, '1000', null, true, []]],
    ['since', ['not a date', '', '9'.repeat(300), '2026-13-01T00:00:00Z', '+012026-01-01T00:00:00Z', 7]],
    ['permit', ['', 'a b', 'a.b', '*', 'x'.repeat(129), '\n', 'é', 7]],
    ['holder', ['x'.repeat(1_025), 'é'.repeat(513), 7, null]],
    ['token', [0, -1, 1.5, 101, 2 ** 53, '7', 9223372036853760000]],
    ['given', [0, 101, 1e300]],
    ['use', [-1, 1_024, 0.5]],
    ['retain', [-1, 2 ** 31, 'x']],
    ['kept', [1, 'true']],
    ['ticket', ['', 'a.b', {}]],
    ['after', ['', 7]],
    ['meta', [[], { a: 1 }, { a: { b: 'c' } }, { a: 'x'.repeat(4_096) }, 'x']],
    ['v', [0, 2, '1', null, [[]]]],
  ])('of a hold with another %s than a client can write is unreadable', (field, values) => {
    for (const value of values) {
      const text = JSON.stringify({ v: 1, ...HOLD, [field]: value });
      expect({ value, ...decodeHold(text, { revision: 100 }) }).toMatchObject({ value, ok: false });
    }
  });

  it('at the bounds is readable', () => {
    const longest = { ...HOLD, holder: 'é'.repeat(512), meta: { a: 'x'.repeat(4_088) }, ttl: 2 ** 31 - 1 };
    for (const hold of [
      HOLD,
      longest,
      {
        ...HOLD,
        ttl: 1_000,
        token: 100,
        given: 1,
        use: 1_023,
        retain: 0,
        kept: true,
        after: 'x'.repeat(128),
      },
      { ...HOLD, since: '2026-03-01T12:00:00+01:00' },
    ])
      expect(decodeHold(encodeRecord(hold), { revision: 100 })).toEqual({ ok: true, record: hold });
  });

  it('of a ticket that would hold up others for longer than a client can write is unreadable', () => {
    for (const wrong of [{ ttl: 1e12 }, { ttl: 10_001 }, { token: 101 }, { count: 1_001 }, { count: 0 }])
      expect(decodeTicket(encodeRecord({ ...TICKET, ...wrong }), { revision: 100 }).ok).toBe(false);
    expect(decodeTicket(encodeRecord({ ...TICKET, token: 100 }), { revision: 100 }).ok).toBe(true);
  });

  it('keeps fields of later versions out of the record', () => {
    const text = JSON.stringify({ v: 1, ...HOLD, later: { a: [1] } });
    expect(decodeHold(text)).toEqual({ ok: true, record: HOLD });
  });

  it('that is deep, long, or no JSON is unreadable, and nothing throws', () => {
    const hostile = [
      `{"v":${deep(4_500)}}`,
      `{"v":1,"slots":${deep(8_000)}}`,
      deep(8_000, '{"a":', '}').slice(0, 16_000),
      `{"v":1,"slots":1,"x":"${'y'.repeat(17_000)}"}`,
      '\ufeff{"v":1,"slots":1}',
      '1e999',
      '"',
      '',
    ];
    for (const value of hostile) for (const decode of DECODERS) expect(decode(value).ok).toBe(false);
    // Brackets inside of strings are no levels.
    expect(decodeLimit(JSON.stringify({ v: 1, slots: 2, x: '[{'.repeat(50) })).ok).toBe(true);
  });

  it('says nothing of what is in it, however it is made', () => {
    const reason = decodeHold(`{"v":"${'x'.repeat(5_000)}"}`);
    expect(reason).toEqual({ ok: false, reason: 'its format version is a string, this package reads 1' });
  });
});

const names = new BucketNames('B');
const SERVER = [
  'Nats-Stream: KV_B',
  'Nats-Subject: $KV.B.sem.a.slot.0',
  'Nats-Sequence: 100',
  'Nats-Time-Stamp: 2026-11-28T05:53:03.54605942Z',
];

/** A message as the clients deliver it: the publisher's bytes, and behind them the server's headers. */
function messageOf(
  headers: string | Uint8Array,
  body: Uint8Array,
  server: readonly string[] = SERVER,
): Message {
  const own = Buffer.from(headers);
  const block = Buffer.concat([own, Buffer.from(`${server.join('\r\n')}\r\n\r\n`)]);
  return {
    subject: '$SEMAPHORE.B.token.sem.a.slot.0',
    data: body,
    get headers() {
      return MsgHdrsImpl.decode(block);
    },
    ...{ _rdata: block, _msg: { hdr: block.length } },
  };
}

const heard = (headers: string | Uint8Array, body: Uint8Array) =>
  messageToEntry(names, messageOf(headers, body), (key) => key === 'sem.a.slot.0');
const body = Buffer.from(encodeRecord(HOLD));

describe('a message', () => {
  it('is the entry that the server says it is', () => {
    expect(heard('NATS/1.0\r\nNats-TTL: 30s\r\n', body)).toEqual({
      key: 'sem.a.slot.0',
      revision: 100,
      value: encodeRecord(HOLD),
      ttl: 30_000,
      writtenAt: Date.parse('2026-11-28T05:53:03.546Z'),
    });
  });

  it.each([
    'Nats-Subject: $KV.B.sem.a.limit',
    'Nats-Sequence: 9007199254740000',
    'Nats-Time-Stamp: 2030-01-01T00:00:00Z',
    'Nats-Stream: KV_C',
    'Nats-TTL: 1s\r\nNats-TTL: 2s',
    'Semaphore-Write: a\r\nSemaphore-Write: b',
    'KV-Operation: PURGE\r\nKV-Operation: DEL',
    'Nats-Marker-Reason: MaxAge\r\nNats-Subject: $KV.B.sem.b.slot.0',
    'A: b\rc',
    'A b: c',
  ])(
    'with the header %j of its publisher is unreadable, under the key and revision of the server',
    (header) => {
      const entry = heard(`NATS/1.0\r\n${header}\r\n`, body);
      expect(entry).toMatchObject({ key: 'sem.a.slot.0', revision: 100 });
      expect(entry?.fault).toMatch(/header/);
      const board = new SlotTable(new Keys('sem', 'a'));
      board.apply(entry!, 0);
      expect([...board.taken.keys()]).toEqual([0]);
      expect([...board.corrupt.keys()]).toEqual(['sem.a.slot.0']);
    },
  );

  it.each(['NATS/1.0 404 No Messages\r\n', 'NATS/1.0 204 EOB\r\n', 'NATS/1.0 503\r\n', ''])(
    'with the status line %j is an entry all the same',
    (head) => expect(heard(`${head}X: y\r\n`, body)).toMatchObject({ key: 'sem.a.slot.0', revision: 100 }),
  );

  it('that is no UTF-8, or too long, is unreadable; one of another key is none', () => {
    expect(heard('NATS/1.0\r\n', Buffer.from([0x7b, 0xff, 0x7d]))?.fault).toMatch(/UTF-8/);
    expect(heard('NATS/1.0\r\n', Buffer.alloc(16_385, 32))?.fault).toMatch(/longer/);
    expect(messageToEntry(names, messageOf('NATS/1.0\r\n', body), () => false)).toBeUndefined();
  });

  it('has no ttl that a client can not write', () => {
    for (const ttl of ['999999999999s', '0s', '5m', 'never', '-1s'])
      expect(heard(`NATS/1.0\r\nNats-TTL: ${ttl}\r\n`, body)?.ttl).toBeUndefined();
  });
});

describe('whatever bytes a client sends', () => {
  const line = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc
      .tuple(
        fc.constantFrom('Nats-Subject', 'Nats-Sequence', 'Nats-TTL', 'KV-Operation', 'Nats-Time-Stamp', 'X'),
        fc.oneof(fc.string(), fc.integer().map(String), fc.constant('$KV.B.sem.a.limit')),
      )
      .map(([name, value]) => `${name}: ${value}`),
  );
  const head = fc.oneof(
    fc.array(line, { maxLength: 6 }).map((lines) => ['NATS/1.0', ...lines, ''].join('\r\n')),
    fc.uint8Array({ maxLength: 100 }),
  );
  const value = fc.oneof(
    fc.json(),
    fc.string({ unit: 'binary' }),
    fc.integer({ min: 1, max: 5_000 }).map((levels) => `{"v":${deep(levels)}}`),
    fc
      .record(
        Object.fromEntries(
          ['v', 'permit', 'holder', 'since', 'ttl', 'token', 'use', 'given', 'meta', 'count', 'slots'].map(
            (name) => [
              name,
              fc.oneof(
                fc.constant(1),
                fc.constant('p'),
                fc.constant(SINCE),
                fc.double(),
                fc.maxSafeInteger(),
                fc.jsonValue(),
              ),
            ],
          ),
        ),
        { requiredKeys: ['v'] },
      )
      .map((record) => JSON.stringify(record)),
  );

  it('are an entry of the key and revision that the server says, which frees nothing unless it is a removal', () => {
    fc.assert(
      fc.property(
        head,
        fc.oneof(
          value.map((each) => Buffer.from(each)),
          fc.uint8Array(),
        ),
        (headers, data) => {
          const entry = heard(headers, data);
          // Bytes without a line's end swallow the server's first header, which is the name of the stream.
          expect(entry).toMatchObject({ key: 'sem.a.slot.0', revision: 100 });
          const board = new SlotTable(new Keys('sem', 'a'));
          board.apply(entry!, 0);
          expect(board.taken.size).toBe(entry?.value === null ? 0 : 1);
          expect(board.limit).toBeUndefined();
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('throw from no decoder, and hold only what the schema allows', () => {
    fc.assert(
      fc.property(value, (text) => {
        for (const decode of DECODERS) {
          const decoded = decode(text, { revision: 1_000 });
          if (!decoded.ok) expect(decoded.reason.length).toBeLessThan(200);
        }
        const hold = decodeHold(text, { revision: 1_000 });
        if (hold.ok) expect(hold.record.token ?? 1).toBeLessThanOrEqual(1_000);
        const latch = new LatchTable(new LatchKeys('l'));
        latch.apply({ key: 'latch.l.share.x', revision: 1, value: text, writtenAt: 0 }, 0);
        expect(latch.left).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
  });
});
