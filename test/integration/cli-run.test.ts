import { constants } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { isAlive } from '../../src/cli/run/process-group';
import { PASSED_ON } from '../../src/cli/run/signals';
import { TestServer } from '../../src/testing';
import { type CliOptions, useCli } from '../support/cli';
import { eventually } from '../support/eventually';
import { freePorts } from '../../src/testing/free-ports';

const cli = useCli();
let server: TestServer;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  server = await TestServer.start();
  env = { NATS_URL: server.url };
});
afterAll(() => server.stop());

const run = (args: string[], options: CliOptions = {}) => cli().run(['run', ...args], { env, ...options });
const start = (args: string[]) => cli().start(['run', ...args], { env });

interface Listed {
  readonly name: string;
  readonly kind: string;
  readonly held: number;
  readonly waiting: number;
}
async function listed(name: string): Promise<Listed | undefined> {
  const { stdout } = await cli().run(['list', '--json'], { env });
  return (JSON.parse(stdout) as Listed[]).find((one) => one.name === name);
}

describe('run', () => {
  it('passes standard input, output and errors through, and the arguments as they are', async () => {
    const script = 'cat; echo "$1|$2" >&2';
    const ended = await run(['pool', '--slots', '2', '--', 'sh', '-c', script, 'x', '--json', 'a  b'], {
      input: 'hello',
    });
    expect(ended).toEqual({ code: 0, signal: null, stdout: 'hello', stderr: '--json|a  b\n' });
  });

  it('tells the command of its permit', async () => {
    const { stdout } = await run(['/config.json', '--slots', '3', '--count', '2', '--', 'env']);
    const told: unknown = Object.fromEntries(
      [...stdout.matchAll(/^NATS_SEMAPHORE_(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
    );
    expect(told).toEqual({
      NAME: '/config.json',
      PERMIT_ID: expect.stringMatching(/^[\w-]{16}$/),
      SLOTS: expect.stringMatching(/^\d,\d$/),
      FENCING_TOKEN: expect.stringMatching(/^\d+$/),
    });
  });

  it('does not hand the login on to the command, unless asked to', async () => {
    const secrets = {
      NATS_USER: 'the-user',
      NATS_PASSWORD: 'the-password',
      NATS_PASSWORD_FILE: '/the-password-file',
      NATS_TOKEN_FILE: '/the-token-file',
      NATS_TOKEN: 'the-token',
      NATS_CREDS: '/the-creds',
      NATS_NKEY: '/the-nkey',
      NATS_CERT: '/the-cert',
      NATS_KEY: '/the-key',
      NATS_SEMAPHORE_TOKEN: 'the-sidecar-token',
      NATS_SEMAPHORE_TOKEN_FILE: '/the-sidecar-token-file',
    };
    // Blank for `run` itself, which would sign in with them, except where it does not read them.
    const blank = Object.fromEntries(Object.keys(secrets).map((name) => [name, '']));
    const given = { ...blank, NATS_TOKEN: 'the-token', NATS_SEMAPHORE_TOKEN: 'the-sidecar-token' };
    const url = server.url.replace('nats://', 'nats://the-user:the%20password@');
    const others = { NATS_CA: '', NATS_SEMAPHORE_BUCKET: 'LOGINS', MINE: 'mine' };
    const env = { ...given, ...others, NATS_URL: url };
    const seen = async (...flags: string[]) => {
      // The parent of the command is its keeper: neither has the login.
      const script = 'env; tr "\\0" "\\n" < /proc/$PPID/environ | sed s/^/keeper:/';
      const { code, stderr, stdout } = await run(['pool', ...flags, '--', 'sh', '-c', script], { env });
      expect([code, stderr]).toEqual([0, '']);
      return new Map(stdout.split('\n').map((line) => line.split(/=(.*)/s, 2) as [string, string]));
    };
    const without = await seen();
    for (const name of Object.keys(secrets)) {
      expect(without.has(name)).toBe(false);
      expect(without.has(`keeper:${name}`)).toBe(false);
    }
    expect([...without.values()].join()).not.toMatch(/the-user|the%20password|the-token/);
    expect(Object.fromEntries(without)).toMatchObject({
      ...others,
      NATS_URL: server.url,
      NATS_SEMAPHORE_NAME: 'pool',
      'keeper:MINE': 'mine',
      'keeper:NATS_URL': server.url,
    });
    const passed = await seen('--pass-login');
    expect(Object.fromEntries(passed)).toMatchObject({ ...env, NATS_SEMAPHORE_NAME: 'pool' });
    expect(passed.has('keeper:NATS_TOKEN')).toBe(false);
  });

  it.each([
    ['its status', ['sh', '-c', 'exit 7'], 7],
    ['128 + n if it died of signal n', ['sh', '-c', 'kill -KILL $$'], 128 + 9],
    ['127 if there is no such command', ['no-such-command-anywhere'], 127],
    ['126 if it can not be executed', ['/'], 126],
  ])('ends as the command: %s', async (_, command, status) => {
    const ended = await run(['pool', '--', ...command]);
    expect(ended.code).toBe(status);
    expect(ended.stdout).toBe('');
    await eventually(async () => expect((await listed('pool'))?.held).toBe(0));
  });

  it('ends with 75 if nothing becomes free in time, and starts nothing', async () => {
    const holder = start(['busy', '--slots', '1', '--', 'sh', '-c', 'echo in; sleep 60']);
    await holder.said('in');
    for (const timeout of ['0', '2s']) {
      const ended = await run(['busy', '--slots', '1', '--timeout', timeout, '--', 'echo', 'in']);
      expect([ended.code, ended.stdout]).toEqual([75, '']);
      expect(ended.stderr).toContain('busy');
    }
    holder.kill('SIGTERM');
    expect((await holder.ended).code).toBe(128 + 15);
  });

  it('ends with 69 if there is no server, and starts nothing', async () => {
    const [port] = await freePorts(1);
    const args = ['pool', '--json', '-s', `nats://127.0.0.1:${port}`, '--', 'echo', 'in'];
    const { code, stderr, stdout } = await run(args);
    expect([code, stdout]).toEqual([69, '']);
    expect(JSON.parse(stderr)).toMatchObject({ event: 'error', code: 'BACKEND_UNAVAILABLE' });
  });

  it('ends with 78 if the number of slots is another', async () => {
    await run(['two', '--slots', '2', '--', 'true']);
    expect((await run(['two', '--slots', '3', '--', 'true'])).code).toBe(78);
    expect((await run(['two', '--', 'true'])).code).toBe(0);
    expect((await run(['two', '--slots', '3', '--limit-policy', 'set', '--', 'true'])).code).toBe(0);
    expect((await run(['two', '--slots', '3', '--', 'true'])).code).toBe(0);
  });

  it.each([
    ['no command', ['pool']],
    ['no --', ['pool', 'true']],
    ['half of the command before --', ['pool', 'sh', '--', '-c', 'true']],
    ['an empty name', ['', '--', 'true']],
    ['no slots', ['pool', '--slots', '0', '--', 'true']],
    ['no number', ['pool', '--slots', 'three', '--', 'true']],
    ['a duration without unit', ['pool', '--ttl', '30', '--', 'true']],
    ['a short ttl', ['pool', '--ttl', '500ms', '--', 'true']],
    ['a grace too long for the ttl', ['pool', '--ttl', '5s', '--grace', '3s', '--', 'true']],
    ['an unknown option', ['pool', '--slot', '3', '--', 'true']],
    ['slots of a mutex', ['pool', '--mutex', '--slots', '3', '--', 'true']],
    ['reading and writing', ['pool', '--read', '--write', '--', 'true']],
    ['metadata without value', ['pool', '--meta', 'k', '--', 'true']],
    ['no such file', ['pool', '--creds', '/does/not/exist', '--', 'true']],
    ['a certificate without key', ['pool', '--tlscert', '/dev/null', '--', 'true']],
    ['a bucket with a dot', ['pool', '--bucket', 'a.b', '--', 'true']],
  ])('ends with 64, before it asks for a server: %s', async (_, args) => {
    const nobody = { env: { NATS_URL: 'nats://127.0.0.1:1' } };
    const people = await run(args, nobody);
    expect([people.code, people.stdout]).toEqual([64, '']);
    expect(people.stderr).not.toBe('');
    const { stderr } = await run(['--json', ...args], nobody);
    expect(JSON.parse(stderr)).toMatchObject({
      event: 'error',
      message: expect.stringMatching(/./) as unknown,
    });
  });

  it('takes a mutex, and either side of a read-write lock', async () => {
    const forms = ['--mutex', '--read', '--write'];
    const all = forms.map((form) => start(['shared', form, '--', 'sh', '-c', 'echo in; sleep 60']));
    const [mutex, read, write] = all;
    await mutex!.said('in');
    await eventually(() => expect(read!.stdout + write!.stdout).toBe('in\n'), 20_000);
    const { stdout } = await cli().run(['list', '--json'], { env });
    const kinds = (JSON.parse(stdout) as Listed[]).filter(({ name }) => name === 'shared');
    expect(kinds.map(({ held, kind }) => [kind, held])).toEqual([
      ['mutex', 1],
      ['read-write-lock', expect.any(Number)],
    ]);
    for (const one of all) one.kill('SIGTERM');
    expect((await Promise.all(all.map(({ ended }) => ended))).map(({ code }) => code)).toEqual([
      143, 143, 143,
    ]);
  });

  it('shows who it is', async () => {
    const args = ['shown', '--fair', '--holder', 'backup of eu-1', '--meta', 'job=backup', '--meta', 'x=a=b'];
    const holder = start([...args, '--', 'sh', '-c', 'echo in; sleep 60']);
    await holder.said('in');
    const { stdout } = await cli().run(['status', 'shown', '--json'], { env });
    expect(JSON.parse(stdout)).toMatchObject([
      { holders: [{ holder: 'backup of eu-1', metadata: { job: 'backup', x: 'a=b' } }] },
    ]);
    holder.kill('SIGTERM');
    await holder.ended;
  });

  it('tells what happens as JSON on standard error', async () => {
    const { stderr, stdout } = await run(['pool', '--json', '--', 'echo', 'mine']);
    expect(stdout).toBe('mine\n');
    const events = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(events).toEqual([
      {
        event: 'acquired',
        name: 'pool',
        permitId: expect.any(String),
        slots: [expect.any(Number)],
        fencingToken: expect.stringMatching(/^\d+$/),
      },
      { event: 'ended', permitId: expect.any(String), code: 0, signal: null },
    ]);
  });
});

describe('signals to run', () => {
  // SIGPROF and SIGVTALRM and the like too: bash can trap every one.
  it('are passed on, every one that can be caught', async () => {
    const names = PASSED_ON.filter((signal) => signal !== 'SIGTERM');
    const traps = names.map((name) => `trap 'echo got ${name}' ${constants.signals[name]}`).join('\n');
    const script = `${traps}\ntrap 'echo got SIGTERM; exit 5' TERM\necho ready\nwhile :; do sleep 0.05; done`;
    const job = start(['signals', '--', 'bash', '-c', script]);
    await job.said('ready');
    for (const name of names) {
      job.kill(name);
      await job.said(`got ${name}`);
    }
    job.kill('SIGTERM');
    expect((await job.ended).code).toBe(5);
    expect(names).toEqual(
      expect.arrayContaining(['SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH']),
    );
  });

  it('reach the whole group, and what is left of it ends with the command', async () => {
    const child = `sh -c 'trap "echo below; exit" TERM; echo inner; while :; do sleep 0.05; done'`;
    const job = start(['group', '--', 'sh', '-c', `${child} & trap 'wait; exit 3' TERM; wait`]);
    await job.said('inner');
    job.kill('SIGTERM');
    await job.said('below');
    expect((await job.ended).code).toBe(3);

    const ready = `${server.storeDir}.ready`;
    const stubborn = `sh -c 'trap "" TERM HUP INT; echo stays $$; : > ${ready}; while :; do sleep 0.05; done'`;
    const args = ['group', '--ttl', '10s', '--grace', '300ms', '--'];
    const until = `while [ ! -e ${ready} ]; do sleep 0.05; done`;
    const left = start([...args, 'sh', '-c', `${stubborn} & ${until}; exit 4`]);
    const pid = Number(await left.said('stays'));
    expect((await left.ended).code).toBe(4);
    expect(isAlive(pid)).toBe(false);
  });

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1'] as const)('end the wait: %s', async (signal) => {
    const holder = start(['queue', '--fair', '--slots', '1', '--', 'sh', '-c', 'echo in; sleep 60']);
    await holder.said('in');
    const waiter = start(['queue', '--fair', '--slots', '1', '--', 'echo', 'in']);
    await eventually(async () => expect((await listed('queue'))?.waiting).toBe(1));
    waiter.kill(signal);
    const ended = await waiter.ended;
    expect([ended.code, ended.stdout]).toEqual([128 + constants.signals[signal], '']);
    expect(await listed('queue')).toMatchObject({ held: 1, waiting: 0 });
    holder.kill('SIGTERM');
    await holder.ended;
  });

  it('end an attempt to connect', async () => {
    // Those of the tests before are gone: the next one is of this job, which listens by then.
    await eventually(() => expect(cli().keepers()).toEqual([]));
    server.pause();
    try {
      const job = start(['pool', '--', 'echo', 'in']);
      await eventually(() => expect(cli().keepers()).not.toEqual([]));
      job.kill('SIGTERM');
      const ended = await job.ended;
      expect([ended.code, ended.stdout]).toEqual([143, '']);
    } finally {
      server.resume();
    }
  });
});

describe('run on a terminal', () => {
  const inTerminal = (args: string[], input: string) => {
    const line = [process.execPath, cli().main, 'run', ...args].map((arg) => `'${arg}'`).join(' ');
    return cli().script(`printf '${input}' | script -qec "$LINE" /dev/null`, { ...env, LINE: line });
  };

  it.each([[[]], [['--foreground']]])('reads from it, with %j', async (flags) => {
    const job = inTerminal(
      ['tty', ...flags, '--', 'sh', '-c', 'test -t 0 && read x && echo read $x'],
      'hello\\n',
    );
    expect(await job.said('read')).toBe('hello');
    expect((await job.ended).code).toBe(0);
  });

  it('leaves the command in its own group with --foreground, and ends it all the same', async () => {
    const job = start([
      'tty',
      '--foreground',
      '--',
      'sh',
      '-c',
      'echo group $(ps -o pgid= -p $$); exec sleep 60',
    ]);
    expect(Number(await job.said('group'))).toBe(job.pid);
    job.kill('SIGTERM');
    expect((await job.ended).code).toBe(143);
  });
});
