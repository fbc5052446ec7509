/**
 * The library, redis-semaphore and the raw floor, side by side in one run: `npm run bench`. The floor is plain JetStream
 * publishes of the same bytes. Times differ between machines; the ratios within one run are what counts.
 *
 *   npm run bench -- --only crowd,handover    some scenarios, by name; results and pictures stay as they are
 *   npm run bench -- --quick                  a fifth of the repetitions; likewise
 *   npm run bench -- --write                  writes them all the same, merged with those of other scenarios
 *   npm run bench -- --draw                   draws the pictures again from bench/results.json
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { barsPicture, latencyPicture } from './pictures';
import { print, printVerdicts } from './report';
import type { Section } from './result';
import { scenarios } from './scenarios';
import type { Scenario } from './scenarios/scenario';
import { versions } from './versions';
import { World } from './world';

const RESULTS = join(__dirname, 'results.json');

interface Results {
  readonly versions: Readonly<Record<string, string>>;
  readonly sections: readonly Section[];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      draw: { type: 'boolean', default: false },
    },
  });
  if (values.draw) return draw(read().sections);
  const chosen = choose(values.only);
  const sections: Section[] = [];
  await using world = new World(values.quick);
  const measured = await versions(world);
  if (world.redisMissing !== undefined) console.log(`Without redis-semaphore: ${world.redisMissing}`);
  for (const scenario of chosen) {
    const { name, title, note } = scenario;
    const section = { scenario: name, title, note, rows: await scenario.run(world) };
    sections.push(section);
    print(section);
  }
  printVerdicts(sections);
  const whole = values.only === undefined && !values.quick;
  if (!whole && !values.write) return;
  const results = { versions: measured, sections: whole ? sections : merged(sections) };
  writeFileSync(RESULTS, `${JSON.stringify(results, rounded, 2)}\n`);
  draw(results.sections);
}

function choose(only: string | undefined): Scenario[] {
  if (only === undefined) return scenarios.filter(({ onRequest }) => onRequest !== true);
  return only.split(',').map((name) => {
    const found = scenarios.find((scenario) => scenario.name === name);
    if (found !== undefined) return found;
    throw new Error(`no scenario "${name}"; there are ${scenarios.map((each) => each.name).join(', ')}`);
  });
}

function merged(fresh: readonly Section[]): Section[] {
  const all = new Map(read().sections.map((section) => [section.scenario, section]));
  for (const section of fresh) all.set(section.scenario, section);
  return scenarios.flatMap(({ name }) => all.get(name) ?? []);
}

function read(): Results {
  return JSON.parse(readFileSync(RESULTS, 'utf8')) as Results;
}

function draw(sections: readonly Section[]): void {
  writeFileSync(join(__dirname, 'ratios.svg'), barsPicture(sections));
  const latency = latencyPicture(sections);
  if (latency !== undefined) writeFileSync(join(__dirname, 'latency.svg'), latency);
}

/** More digits than a measurement has would only make every run a change of every line. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toPrecision(4)) : value;
}

void main();
