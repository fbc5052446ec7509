import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { isAlive } from '../../src/cli/run/process-group';
import { TestServer } from '../../src/testing';
import { type CliProcess, useCli } from '../support/cli';
import { eventually } from '../support/eventually';
import { History } from '../support/history';

const cli = useCli();
let server: TestServer;
let history: History;
let env: NodeJS.ProcessEnv;
/** What the command writes for as long as it runs. */
let mark: string;

beforeEach(async () => {
  server = await TestServer.start();
  history = await History.open(server.url);
  mark = `${server.storeDir}.mark`;
  env = { NATS_URL: server.url, MARK: mark };
});
afterEach(async () => {
  await history.connection.close();
  await server.stop();
});

const SLOTS = ['--slots', '1', '--ttl', '10s', '--grace', '1s'];
/** Says its number and goes on until it is killed: SIGTERM does not end it. */
const STUBBORN = [
  'sh',
  '-c',
  'trap "" TERM; echo runs $$; while :; do echo > "$MARK"; sleep 0.05; done',
] as const;
/** Goes on until there is the mark. */
const UNTIL_MARK = 'echo runs $$; while [ ! -e "$MARK" ]; do sleep 0.05; done';

const start = (args: readonly string[]) => cli().start(['run', 'pool', ...args], { env });

async function running(job: CliProcess): Promise<number> {
  return Number(await job.said('runs'));
}

/** When the server gives the slot to others unless it hears from the holder again, by the last that was heard of it. */
function slotEnd(): number {
  const last = history.changes.findLast(({ key, value }) => key === 'sem.pool.slot.0' && value !== null);
  return last!.storedAt + (JSON.parse(last!.value!) as { ttl: number }).ttl;
}

/** The same once nothing can come from the holder any more. */
async function lastSlotEnd(): Promise<number> {
  await history.heard();
  return slotEnd();
}

/** When one that is to end last ran, by the mark that it made. When we come to look is another thing on a busy machine. */
async function lastRan(pid: number, made = mark): Promise<number> {
  await eventually(() => expect(isAlive(pid)).toBe(false), 30_000);
  return statSync(made).mtimeMs;
}

async function permitId(): Promise<string> {
  const { stdout } = await cli().run(['status', 'pool', '--json'], { env });
  return (JSON.parse(stdout) as { holders: { permitId: string }[] }[])[0]?.holders[0]?.permitId ?? '';
}

/** Until somebody queues for the slot. */
async function queued(): Promise<void> {
  const { stdout } = await cli().run(['list', '--json'], { env });
  expect(JSON.parse(stdout)).toMatchObject([{ waiting: 1 }]);
}

describe('run while the server is killed', () => {
  it('for longer than the ttl: the command is gone before another can have the slot', async () => {
    const job = start([...SLOTS, '--json', '--', ...STUBBORN]);
    const pid = await running(job);
    // One that waits for the slot, and looks whether the other still runs as soon as it is let in.
    const look = `if kill -0 ${pid} 2>/dev/null; then ps -o stat= -p ${pid} | grep -v Z && echo both; fi; echo in`;
    const next = start([...SLOTS, '--fair', '--', 'sh', '-c', look]);
    await eventually(queued, 20_000);
    await server.kill();
    expect(await lastRan(pid)).toBeLessThan(slotEnd());
    expect((await job.ended).code).toBe(70);
    expect(job.stderr).toMatch(/"event":"lost"/);
    await server.restart();
    expect(await next.ended).toMatchObject({ code: 0, stdout: 'in\n' });
  });

  it('for less: the command goes on and hears nothing of it', async () => {
    const script = `trap "echo hit" TERM; ${UNTIL_MARK}; exit 6`;
    const job = start(['--slots', '1', '--ttl', '20s', '--', 'sh', '-c', script]);
    const pid = await running(job);
    await server.kill();
    const end = slotEnd();
    await server.restart();
    // Renewed since, and longer held than it could have been without the server.
    await eventually(() => expect(slotEnd()).toBeGreaterThan(end), 30_000);
    await eventually(() => expect(Date.now()).toBeGreaterThan(end), 30_000);
    expect(isAlive(pid)).toBe(true);
    writeFileSync(mark, '');
    expect(await job.ended).toMatchObject({ code: 6, stdout: `runs ${pid}\n` });
  });
});

describe('run that waits while the server is killed', () => {
  it('ends with 69 when its time is over, and starts nothing', async () => {
    const holder = start(['--slots', '1', '--ttl', '30s', '--', ...STUBBORN]);
    await running(holder);
    const waiter = start(['--slots', '1', '--fair', '--timeout', '10s', '--', 'echo', 'in']);
    await eventually(queued, 9_000);
    await server.kill();
    expect(await waiter.ended).toMatchObject({ code: 69, stdout: '' });
    holder.kill('SIGKILL');
  });
});

describe('run that loses its permit', () => {
  it('ends the command, by force if it has to, and ends with 70', async () => {
    const job = start([...SLOTS, '--', ...STUBBORN]);
    const pid = await running(job);
    const { code } = await cli().run(['release', 'pool', await permitId()], { env });
    expect(code).toBe(0);
    expect((await job.ended).code).toBe(70);
    expect(isAlive(pid)).toBe(false);
    expect(job.stderr).toMatch(/lost.*the command is ended/);
  });

  it('gives the command the time to clean up', async () => {
    const script = 'trap "sleep 0.3; echo cleaned; exit 0" TERM; echo runs $$; while :; do sleep 0.05; done';
    const job = start(['--slots', '1', '--', 'sh', '-c', script]);
    await running(job);
    await cli().run(['release', 'pool', await permitId()], { env });
    await job.said('cleaned');
    expect((await job.ended).code).toBe(70);
  });
});

describe('run that can do nothing any more', () => {
  it('killed: the command and what it has started are ended, within the grace', async () => {
    const job = start([
      ...SLOTS,
      '--',
      'sh',
      '-c',
      `sh -c 'trap "" TERM; echo below $$; while :; do echo > "$MARK.below"; sleep 0.05; done' & ${STUBBORN[2]}`,
    ]);
    const pid = await running(job);
    const below = Number(await job.said('below'));
    job.kill('SIGKILL');
    const ran = [await lastRan(pid), await lastRan(below, `${mark}.below`)];
    expect(Math.max(...ran)).toBeLessThan(await lastSlotEnd());
  });

  it('killed with its whole group: the same', async () => {
    const job = start([...SLOTS, '--', ...STUBBORN]);
    const pid = await running(job);
    job.killGroup('SIGKILL');
    expect(await lastRan(pid)).toBeLessThan(await lastSlotEnd());
  });

  it('killed while it waits: the command never starts', async () => {
    const holder = start([...SLOTS, '--', 'sh', '-c', 'echo runs $$; sleep 60']);
    await running(holder);
    const waiter = start([...SLOTS, '--', 'touch', mark]);
    await eventually(() => expect(cli().keepers()).toHaveLength(2));
    waiter.kill('SIGKILL');
    await eventually(() => expect(cli().keepers()).toHaveLength(1));
    holder.kill('SIGKILL');
    await holder.ended;
    expect(existsSync(mark)).toBe(false);
  });

  it('stopped: the command is ended before another can have the slot, and it says so when it goes on', async () => {
    const job = start([...SLOTS, '--', ...STUBBORN]);
    const pid = await running(job);
    job.kill('SIGSTOP');
    expect(await lastRan(pid)).toBeLessThan(await lastSlotEnd());
    job.kill('SIGCONT');
    expect((await job.ended).code).toBe(70);
  });

  it('stopped while the command ends in time: its status counts', async () => {
    const job = start([...SLOTS, '--', 'sh', '-c', `${UNTIL_MARK}; exit 9`]);
    const pid = await running(job);
    job.kill('SIGSTOP');
    writeFileSync(mark, '');
    await eventually(() => expect(isAlive(pid)).toBe(false));
    const end = await lastSlotEnd();
    await eventually(() => expect(Date.now()).toBeGreaterThan(end), 20_000);
    job.kill('SIGCONT');
    expect((await job.ended).code).toBe(9);
  });

  it('has a keeper that was stopped until the permit was lost: the command never starts', async () => {
    const holder = start([...SLOTS, '--', 'sh', '-c', 'echo runs $$; sleep 60']);
    await running(holder);
    const [other] = cli().keepers();
    const waiter = start([...SLOTS, '--json', '--', 'echo', 'in']);
    await eventually(() => expect(cli().keepers()).toHaveLength(2));
    const [keeper] = cli()
      .keepers()
      .filter((pid) => pid !== other);
    process.kill(keeper!, 'SIGSTOP');
    holder.kill('SIGTERM');
    await eventually(() => expect(waiter.stderr).toContain('"acquired"'));
    await cli().run(['release', 'pool', await permitId()], { env });
    const end = await lastSlotEnd();
    await eventually(() => expect(Date.now()).toBeGreaterThan(end), 20_000);
    process.kill(keeper!, 'SIGCONT');
    expect(await waiter.ended).toMatchObject({ code: 70, stdout: '' });
  });

  it('bereft of its keeper: it ends the command itself', async () => {
    const job = start([...SLOTS, '--', ...STUBBORN]);
    const pid = await running(job);
    const [keeper] = cli().keepers();
    process.kill(keeper!, 'SIGKILL');
    expect((await job.ended).code).toBe(70);
    expect(isAlive(pid)).toBe(false);
  });
});

// 40 processes of Node that start at once keep a small machine busy for a while.
const CROWD_MS = 120_000;

describe('a script that starts 20 at once on 4 slots', () => {
  const COUNT = 20;
  const all = (each: string) => `
    pids=()
    for i in $(seq 1 ${COUNT}); do
      nats-semaphore run pool --slots 4 -- sh -c ${JSON.stringify(each)} &
      pids+=($!)
    done
    for pid in "\${pids[@]}"; do wait "$pid"; echo "status $?"; done`;

  it(
    'never has more than 4 at work, and has every exit status right',
    async () => {
      const log = `${server.storeDir}.log`;
      // A line is appended whole, so their order is the order of events.
      const script = cli().script(
        all('echo + >> "$LOG"; sleep 0.3; echo - >> "$LOG"; exit $i').replace(
          'for i in',
          'export i; for i in',
        ),
        { ...env, LOG: log },
      );
      const { stdout } = await script.ended;
      const wanted = Array.from({ length: COUNT }, (_, i) => `status ${i + 1}`);
      expect(stdout.trim().split('\n')).toEqual(wanted);
      let alive = 0;
      let most = 0;
      for (const line of readFileSync(log, 'utf8').trim().split('\n')) {
        alive += line === '+' ? 1 : -1;
        most = Math.max(most, alive);
      }
      expect([most, alive]).toEqual([4, 0]);
    },
    CROWD_MS,
  );

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'leaves nothing behind when its group gets %s',
    async (signal) => {
      const mark = `mark-of-${process.pid}-${signal}`;
      const script = cli().script(all(`: ${mark}; echo in; sleep 60 & wait`), env);
      await eventually(() => expect(script.stdout.match(/^in$/gm)).toHaveLength(4), 60_000);
      script.killGroup(signal);
      await eventually(() => expect([...cli().left(mark), ...cli().left()]).toEqual([]), 20_000);
      await script.ended;
      // Those that could still do so have given their slots back.
      const { stdout } = await cli().run(['status', 'pool', '--json'], { env });
      const [status] = JSON.parse(stdout) as { available: number }[];
      expect(status?.available).toBe(signal === 'SIGTERM' ? 4 : 0);
    },
    CROWD_MS,
  );
});
