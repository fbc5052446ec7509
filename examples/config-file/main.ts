/**
 * A config file that many processes read and some change, under a read-write lock. It is written in place and in steps, as
 * many programs do: who reads it in the middle of that finds half of it. Under the lock nobody does, and nobody's
 * change is lost, while those who only read do so side by side.
 *
 *   npx tsx examples/config-file/main.ts              what should happen
 *   npx tsx examples/config-file/main.ts --unlocked   what happens without the lock
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestServer } from '../../src/testing';
import type { Config, Report } from './member';

const PROCESSES = 6;
const CHANGES_EACH = 10;
const READS_EACH = 40;

async function main(): Promise<void> {
  const mode = process.argv.includes('--unlocked') ? 'unlocked' : 'locked';
  const dir = mkdtempSync(join(tmpdir(), 'config-file-'));
  const path = join(dir, 'config.json');
  writeFileSync(path, JSON.stringify({ version: 0, changes: [] } satisfies Config));
  const children: ChildProcess[] = [];
  await using server = await TestServer.start();
  try {
    const run = async (_: unknown, n: number): Promise<Report> => {
      const args = [server.url, path, String(n), mode, String(CHANGES_EACH), String(READS_EACH)];
      const child = fork(join(__dirname, 'member.ts'), args, { execArgv: ['--import', 'tsx'] });
      children.push(child);
      const [report] = (await once(child, 'message')) as [Report];
      return report;
    };
    const reports = await Promise.all(Array.from({ length: PROCESSES }, run));
    const sum = (field: 'reads' | 'broken'): number =>
      reports.reduce((all, report) => all + report[field], 0);
    const last = Math.max(...reports.map(({ lastVersion }) => lastVersion));
    console.log(
      `${sum('reads')} reads by ${PROCESSES} processes, ${sum('broken')} of them found a broken file`,
    );
    console.log(`${PROCESSES * CHANGES_EACH} changes, ${last} of them are in the file`);
    console.log(`most who read at the same time: ${mostAtOnce(reports.flatMap(({ stays }) => stays))}`);
  } finally {
    for (const child of children) child.kill();
    rmSync(dir, { recursive: true, force: true });
  }
}

function mostAtOnce(stays: readonly (readonly [from: number, to: number])[]): number {
  return Math.max(...stays.map(([at]) => stays.filter(([from, to]) => from <= at && at < to).length));
}

void main();
