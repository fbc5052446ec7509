const MAX_NAME_BYTES = 256;
const PLAIN = /^[A-Za-z0-9_/-]$/;

/**
 * One key token for a primitive's name. Letters, digits, `_`, `-` and `/` stand for themselves; every other byte of the
 * name's UTF-8 is written `=XX`. Two names never share a token, and {@link decodeName} gives the name back.
 * @throws TypeError, RangeError if it is not a legal name
 */
export function encodeName(name: string): string {
  checkName(name);
  let token = '';
  for (const byte of Buffer.from(name, 'utf8')) {
    const char = String.fromCharCode(byte);
    token += PLAIN.test(char) ? char : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return token;
}

export function decodeName(token: string): string {
  const bytes = token.replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** Whether a key token encodes a name. Other clients can write under tokens that encode none. */
export function isTokenOf(name: string, token: string): boolean {
  try {
    return encodeName(name) === token;
  } catch {
    return false;
  }
}

function checkName(name: unknown): asserts name is string {
  if (typeof name !== 'string') {
    throw new TypeError(`name must be a string, got ${typeof name}`);
  }
  if (name.length === 0) throw new RangeError('name must not be empty');
  // A lone surrogate has no UTF-8: all lone surrogates would become the same bytes, and names would collide.
  if (!name.isWellFormed()) throw new RangeError(`name ${JSON.stringify(name)} is not well-formed Unicode`);
  const bytes = Buffer.byteLength(name, 'utf8');
  if (bytes > MAX_NAME_BYTES) {
    throw new RangeError(
      `name must be at most ${MAX_NAME_BYTES} bytes of UTF-8, got ${bytes} bytes: ${JSON.stringify(name.slice(0, 40))}...`,
    );
  }
}
