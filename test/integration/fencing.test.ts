import { describe, expect, it } from '@jest/globals';
import { FencedFile } from '../../examples/fencing/fenced-file';
import { runScript } from '../support/run-script';
import { scratchDirectory } from '../support/scratch';

interface Written {
  readonly accepted: boolean;
  readonly writer: string;
  readonly token: bigint;
}

/** Runs the example. What the resource was asked before A was stopped, while it was, and afterwards. */
async function play(...args: string[]): Promise<[Written[], Written[], Written[]]> {
  const { code, stdout, stderr } = await runScript('../../examples/fencing/main.ts', args, 90_000);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const parts = stdout.split(/^# A .*\n/m).map((part) =>
    [...part.matchAll(/^(written|REFUSED) (\w) (\d+)$/gm)].map(([, what, writer, token]) => ({
      accepted: what === 'written',
      writer: writer as string,
      token: BigInt(token as string),
    })),
  );
  expect(parts).toHaveLength(3);
  return parts as [Written[], Written[], Written[]];
}

describe('examples/fencing: a holder stopped past its ttl that writes when it goes on', () => {
  it('is refused by a resource that looks at the token', async () => {
    const [before, meanwhile, after] = await play();
    expect(before.map(({ accepted, writer }) => ({ accepted, writer }))).toEqual(
      Array.from({ length: 3 }, () => ({ accepted: true, writer: 'A' })),
    );
    const a = before[0]!.token;
    const b = meanwhile.find(({ writer }) => writer === 'B')!.token;
    expect(b).toBeGreaterThan(a);
    const late = after.filter(({ writer }) => writer === 'A');
    expect(late).toEqual(Array.from({ length: 3 }, () => ({ accepted: false, writer: 'A', token: a })));
    // B is not disturbed.
    const own = [...meanwhile, ...after].filter(({ writer }) => writer === 'B');
    expect(own.every(({ accepted, token }) => accepted && token === b)).toBe(true);
  }, 100_000);

  it('is let in by one that does not', async () => {
    const [, , after] = await play('--unfenced');
    expect(after.filter(({ writer }) => writer === 'A').map(({ accepted }) => accepted)).toEqual(
      Array.from({ length: 3 }, () => true),
    );
  }, 100_000);

  it('is refused too after the resource was started again', () => {
    const path = `${scratchDirectory().path}/ledger.json`;
    expect(new FencedFile(path).write(7n, 'new')).toBe(true);
    expect(new FencedFile(path).write(6n, 'old')).toBe(false);
    expect(new FencedFile(path).write(7n, 'newer')).toBe(true);
    expect(new FencedFile(path).text).toBe('newer');
  });
});
