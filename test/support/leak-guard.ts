import { afterEach } from '@jest/globals';

/** A rejection that nobody handles fails the test during which it came up. */
const unhandled: unknown[] = [];
process.on('unhandledRejection', (reason) => unhandled.push(reason));

afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve));
  const found = unhandled.splice(0);
  if (found.length > 0)
    throw new Error(`unhandled rejection: ${found.map(String).join('; ')}`, { cause: found[0] });
});
