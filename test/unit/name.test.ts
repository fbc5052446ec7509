import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Keys, primitiveOf } from '../../src/protocol/keys';
import { decodeName, encodeName } from '../../src/protocol/name';
import { anyName } from '../support/any-text';

describe('a name in a key', () => {
  it('is one token without anything that a subject gives a meaning', () => {
    fc.assert(fc.property(anyName, (name) => expect(encodeName(name)).toMatch(/^[A-Za-z0-9_/=-]{1,768}$/)));
  });

  it('can be read back', () => {
    fc.assert(
      fc.property(anyName, (name) => {
        expect(decodeName(encodeName(name))).toBe(name);
        expect(primitiveOf(new Keys('sem', name).slot(3))?.name).toBe(name);
      }),
    );
  });

  it.each(['', 'a=2', 'a%', '=41', '=2e', 'x'.repeat(300), '=ED=A0=80'])(
    'no name has the token %j, under which a client may write all the same',
    (token) => expect(primitiveOf(`sem.${token}.limit`)).toBeUndefined(),
  );

  it('shares no key with another name', () => {
    fc.assert(
      fc.property(anyName, anyName, (one, other) => {
        fc.pre(one !== other);
        const [mine, theirs] = [new Keys('sem', one), new Keys('sem', other)];
        expect(mine.limit).not.toBe(theirs.limit);
        for (const key of [theirs.limit, theirs.slot(0), theirs.ticket('t')])
          expect(mine.parse(key)).toBeUndefined();
      }),
    );
  });
});
