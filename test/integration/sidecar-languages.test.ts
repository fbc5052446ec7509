import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from '@jest/globals';
import type { PermitView } from '../../src/sidecar/permits';
import type { ProblemBody } from '../support/sidecar-client';
import { describeWith } from '../support/tools';
import { sidecarWorld } from '../support/sidecar-world';

const run = promisify(execFile);
const world = sidecarWorld();

const PROCESSES = 20;
const EACH = 25;
const SLOTS = 3;

describeWith('python3', 'a program in Python', () => {
  it(`in ${PROCESSES} processes: ${PROCESSES * EACH} acquisitions, never more than ${SLOTS} at once`, async () => {
    const { sidecar, beside } = world();
    const script = join(__dirname, '..', '..', 'examples', 'sidecar', 'worker.py');
    const args = [script, sidecar.url, 'python/jobs', `${SLOTS}`, `${EACH}`];
    const outputs = await Promise.all(
      Array.from({ length: PROCESSES }, () =>
        run('python3', args, { timeout: 110_000, killSignal: 'SIGKILL' }),
      ),
    );
    const steps = outputs
      .flatMap(({ stdout }) => stdout.trim().split('\n'))
      .map((line) => line.split(' '))
      .map(([at, what, slot, token]) => ({
        at: Number(at),
        what,
        slot: Number(slot),
        token: BigInt(token ?? ''),
      }))
      .sort((a, b) => a.at - b.at);
    expect(steps).toHaveLength(2 * PROCESSES * EACH);

    const inside = new Map<number, bigint>();
    const newest = new Map<number, bigint>();
    let most = 0;
    for (const { what, slot, token } of steps) {
      if (what === 'leave') {
        expect(inside.get(slot)).toBe(token);
        inside.delete(slot);
        continue;
      }
      expect(inside.has(slot)).toBe(false);
      expect(token).toBeGreaterThan(newest.get(slot) ?? 0n);
      newest.set(slot, token);
      inside.set(slot, token);
      most = Math.max(most, inside.size);
    }
    expect(most).toBe(SLOTS);
    expect(await beside.semaphore('python/jobs').availablePermits()).toBe(SLOTS);
  }, 120_000);
});

describeWith('curl', 'curl', () => {
  const curl = async (...args: string[]): Promise<Record<string, unknown>> =>
    JSON.parse((await run('curl', ['-sS', '--max-time', '20', ...args])).stdout) as Record<string, unknown>;
  const json = ['-H', 'content-type: application/json'];

  it('acquires, renews and releases', async () => {
    const { url } = world().sidecar;
    const permits = `${url}/v1/semaphores/curl/permits`;
    const { id } = (await curl(
      '-X',
      'POST',
      ...json,
      '-d',
      '{"slots":1,"ttl":5000}',
      permits,
    )) as unknown as PermitView;
    const refused = await curl('-X', 'POST', ...json, '-d', '{"timeout":0}', permits);
    expect((refused as unknown as ProblemBody).code).toBe('ACQUIRE_TIMEOUT');
    expect(await curl('-X', 'POST', `${url}/v1/permits/${id}/renew`)).toMatchObject({ id });
    expect(await curl('-X', 'DELETE', `${url}/v1/permits/${id}`)).toEqual({ released: true });
  });

  it('that is interrupted while it waits leaves nothing behind', async () => {
    const { beside, sidecar } = world();
    const semaphore = beside.semaphore('interrupted', 1);
    const permit = await semaphore.acquire();
    await expect(
      run('curl', [
        '-sS',
        '--max-time',
        '1',
        '-X',
        'POST',
        `${sidecar.url}/v1/semaphores/interrupted/permits`,
      ]),
    ).rejects.toThrow('timed out');
    await permit.release();
    await using again = await semaphore.acquire({ timeout: 5_000 });
    expect(again.isHeld).toBe(true);
  });
});
