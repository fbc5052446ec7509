import fc from 'fast-check';

/** What subjects, headers, protocol lines and JSON give a meaning, and what else has gone wrong with names before. */
const NASTY = [
  ...['.', '*', '>', '$', '=', '=2E', '/', ' ', '\t', '\r\n', '\n', '\0', '"', '\\', '{', '}', '%', '\u007f'],
  ...['a.b', '$KV.SEMAPHORES.sem.a.slot.0', '$JS.API.>', '.slot.0', '.limit', 'PUB x 0\r\n', 'NATS/1.0\r\n'],
  ...[
    '\r\nKV-Operation: PURGE\r\n',
    '__proto__',
    'constructor',
    '用户',
    'é',
    'e\u0301',
    '🚀',
    '\u202e',
    '\ufeff',
  ],
];

/** Any text that is well-formed Unicode, ordinary and not. */
export const anyText = (bytes: number): fc.Arbitrary<string> =>
  fc
    .array(fc.oneof(fc.constantFrom(...NASTY), fc.string({ unit: 'binary' }), fc.string()), { maxLength: 40 })
    .map((parts) => clip(parts.join(''), bytes));

/** Any legal name. */
export const anyName: fc.Arbitrary<string> = fc.oneof(
  { weight: 8, arbitrary: anyText(256).filter((name) => name !== '') },
  // The longest there are, of characters that stand for themselves and of others.
  {
    weight: 1,
    arbitrary: fc.constantFrom('x'.repeat(256), '*'.repeat(256), '用'.repeat(85), '\0'.repeat(256)),
  },
);

/** As much of the beginning as fits. */
function clip(text: string, bytes: number): string {
  let taken = '';
  for (const char of text) {
    if (Buffer.byteLength(taken + char) > bytes) break;
    taken += char;
  }
  return taken;
}
