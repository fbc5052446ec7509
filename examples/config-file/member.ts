/** One of the processes: reads the config file many times, changes it some times, and tells what it found. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { NatsDispatcher } from '../../src';

export interface Config {
  readonly version: number;
  /** Who made each version. */
  readonly changes: readonly string[];
}

export interface Report {
  readonly reads: number;
  /** How often the file could not be read, or made no sense. */
  readonly broken: number;
  readonly lastVersion: number;
  /** When it was reading, in ms on a clock that all processes share. */
  readonly stays: readonly (readonly [from: number, to: number])[];
}

const WAIT_MS = 30_000;

async function main(): Promise<void> {
  const [servers, path = '', name, mode, changes, reads] = process.argv.slice(2);
  const dispatcher = await NatsDispatcher.connect({ servers, holder: `process ${name}` });
  const lock = dispatcher.readWriteLock('/config.json', { fair: true });
  const reading = <T>(work: () => Promise<T>): Promise<T> =>
    mode === 'locked' ? lock.read.lock(WAIT_MS, work) : work();
  const writing = (work: () => Promise<void>): Promise<void> =>
    mode === 'locked' ? lock.write.lock(WAIT_MS, work) : work();
  const stays: [number, number][] = [];
  let broken = 0;
  let lastVersion = 0;

  const look = async (): Promise<Config | undefined> => {
    const from = now();
    const config = parse(readFileSync(path, 'utf8'));
    // It takes a while to use it, and it must stay as it is meanwhile.
    await sleep(5);
    stays.push([from, now()]);
    return config;
  };
  const change = async (): Promise<void> => {
    const config = parse(readFileSync(path, 'utf8')) ?? { version: 0, changes: [] };
    const next = { version: config.version + 1, changes: [...config.changes, `${name}`] };
    await write(path, JSON.stringify(next));
  };

  for (let i = 0; i < Number(reads); i++) {
    if (i % (Number(reads) / Number(changes)) === 0) await writing(change);
    const config = await reading(look);
    if (config === undefined) broken++;
    lastVersion = config?.version ?? lastVersion;
  }
  // All have changed it when the last of them looks for the last time.
  lastVersion = (await reading(look))?.version ?? lastVersion;
  await dispatcher.close();
  process.send?.({ reads: stays.length, broken, lastVersion, stays } satisfies Report);
  process.disconnect();
}

/** In two steps, with a pause between them in which the file is not whole. */
async function write(path: string, text: string): Promise<void> {
  const half = Math.floor(text.length / 2);
  const file = openSync(path, 'w');
  try {
    writeSync(file, text.slice(0, half));
    await sleep(1);
    writeSync(file, text.slice(half));
  } finally {
    closeSync(file);
  }
}

/** Undefined if it is not whole. */
function parse(text: string): Config | undefined {
  try {
    const config = JSON.parse(text) as Config;
    return config.version === config.changes.length ? config : undefined;
  } catch {
    return undefined;
  }
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

void main();
