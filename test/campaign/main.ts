/** `npm run faults -- --minutes 5 --seed 7 --topology r1`: a campaign by hand. See `campaign.ts`. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BREAKS, brokenCopy } from './broken';
import { runCampaign } from './campaign';
import { check } from './checker/check';
import { readHistory } from './history';
import { report } from './report';
import { TOPOLOGIES } from './topology';

const USAGE = `npm run faults -- [options]
  --minutes <n>       how long (5)
  --seed <n>          of the faults and the load (the time)
  --topology r1|r3    one server, or three with the leader among the targets (r1)
  --break <name>      take one protection out of the clients, and stop when that is found out: ${Object.keys(BREAKS).join(', ')}
  --without-hostile   no client attacks the others: to compare
  --check <folder>    only judge what an earlier campaign left behind`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '5' },
      seed: { type: 'string', default: String(Date.now() % 100_000) },
      topology: { type: 'string', default: 'r1' },
      break: { type: 'string' },
      'without-hostile': { type: 'boolean', default: false },
      check: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  if (values.check !== undefined) {
    const verdict = check(readHistory(values.check));
    console.log(report(verdict));
    return verdict.violations.length === 0 ? 0 : 1;
  }
  const topology = TOPOLOGIES.find((name) => name === values.topology);
  const [seed, minutes] = [Number(values.seed), Number(values.minutes)];
  if (topology === undefined || !Number.isInteger(seed) || !(minutes > 0)) throw new Error(USAGE);
  const name = `${new Date().toISOString().replace(/\D/g, '').slice(0, 14)}-${topology}-${seed}`;
  const folder = join(
    __dirname,
    '..',
    '..',
    '.cache',
    'faults',
    values.break ? `${name}-${values.break}` : name,
  );
  const library = values.break === undefined ? undefined : brokenCopy(values.break, join(folder, 'library'));
  console.log(`seed ${seed}, ${topology}, ${minutes} minutes; history in ${folder}`);
  const startedAt = performance.now();
  const verdict = await runCampaign({
    seconds: minutes * 60,
    seed,
    topology,
    folder,
    library,
    hostile: !values['without-hostile'],
    untilViolation: values.break !== undefined,
    say: (line) => console.log(line),
  });
  console.log(report(verdict));
  const clean = verdict.violations.length === 0;
  if (values.break === undefined) return clean ? 0 : 1;
  const took = Math.round((performance.now() - startedAt) / 1_000);
  console.log(
    clean
      ? `"${values.break}" was NOT found out`
      : `"${values.break}" was found out in a campaign of ${took} s`,
  );
  return clean ? 1 : 0;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error);
    process.exit(2);
  },
);
