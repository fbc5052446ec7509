import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { runCampaign } from '../campaign/campaign';
import { kindsOfFaults } from '../campaign/faults';
import { LOAD } from '../campaign/load';
import { report } from '../campaign/report';
import type { TopologyName } from '../campaign/topology';

/** A short campaign: every kind of fault comes at least once, and nothing is found. What it leaves behind is kept. */
export async function campaignSuite(topology: TopologyName, seconds: number, seed: number): Promise<void> {
  const folder = join(__dirname, '..', '..', '.cache', 'faults', `test-${topology}`);
  rmSync(folder, { recursive: true, force: true });
  const verdict = await runCampaign({ seconds, seed, topology, folder });
  const { figures, violations } = verdict;
  // The violations first: a runner that shortens the output keeps the beginning.
  const found = violations.slice(0, 10).map(({ kind, message }) => `${kind}: ${message}`);
  if (violations.length > 0) throw new Error(`${found.join('\n')}\nhistory in ${folder}\n${report(verdict)}`);
  expect(Object.keys(figures.faults).sort()).toEqual(kindsOfFaults(topology).sort());
  expect(figures.acquisitions).toBeGreaterThan(100);
  expect(figures.losses).toBeGreaterThan(0);
  expect(figures.writes.resolved).toBeGreaterThan(0);
  for (const what of ['announcement', 'advisory', 'limit', 'removed'])
    expect([what, figures.hostile?.answers[`may not publish: ${what}`]]).toEqual([what, expect.any(Number)]);
  expect(figures.hostile?.answers['stored']).toBeGreaterThan(100);
  // Any number may read, and a latch has no slots.
  for (const { attacked, kind, name } of LOAD) {
    if (attacked) continue;
    if (kind !== 'semaphore' && kind !== 'mutex') continue;
    const taken = figures.peak[name] ?? '';
    expect([name, taken]).toEqual([name, all(taken)]);
  }
}

/** "3 of 3": the limit was reached, so that there was something to keep. */
function all(taken: string): string {
  const limit = taken.split(' of ')[1];
  return `${limit} of ${limit}`;
}
