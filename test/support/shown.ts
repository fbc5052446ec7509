import { inspect } from 'node:util';

/** Everything that a value shows when it is logged: by any of the usual means, with what caused it. */
export function shown(value: unknown): string {
  const texts = [
    inspect(value),
    inspect(value, { depth: null, showHidden: true, getters: true }),
    json(value),
  ];
  for (let error = value, depth = 0; error instanceof Error && depth < 10; error = error.cause, depth++)
    texts.push(error.message, error.stack ?? '', String(error), json(error));
  return texts.join('\n');
}

function json(value: unknown): string {
  const plain = (_: string, part: unknown): unknown => {
    if (typeof part === 'bigint') return String(part);
    if (!(part instanceof Error)) return part;
    return Object.fromEntries(
      Object.getOwnPropertyNames(part).map((key) => [key, (part as unknown as Record<string, unknown>)[key]]),
    );
  };
  return JSON.stringify(value, plain) ?? '';
}
