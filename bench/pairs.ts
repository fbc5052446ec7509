import { type Contender, open } from './contender';
import { type Figures, sideBySide, timed } from './measure';
import type { Spec } from './contender';

/** Acquire and release, again and again, of several contenders in turn, in this process. In ms. */
export async function pairs<K extends string>(
  contenders: Record<K, readonly [Contender, Spec] | undefined>,
  rounds: number,
  perRound: number,
): Promise<Partial<Record<K, Figures>>> {
  const things: Record<string, () => Promise<number>> = {};
  const closing: (() => Promise<void>)[] = [];
  try {
    for (const [name, given] of Object.entries<readonly [Contender, Spec] | undefined>(contenders)) {
      if (given === undefined) continue;
      const client = await open(given[0]);
      closing.push(() => client.close());
      const lock = client.lock(given[1]);
      things[name] = () => timed(async () => (await lock.acquire())());
    }
    return (await sideBySide(things, rounds, perRound)) as Partial<Record<K, Figures>>;
  } finally {
    for (const close of closing) await close();
  }
}
