import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NatsDispatcher } from '../../src';
import { buildProgram } from '../../src/cli/program';
import { nkeys } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { TestServer } from '../../src/testing';
import { Certificates } from '../support/certificates';
import { type CliProcess, type Ended, useCli } from '../support/cli';
import { Credentials } from '../support/credentials';
import { eventually } from '../support/eventually';
import { inboxOf } from '../support/roles';
import { scratchDirectory } from '../support/scratch';

/** Those of docs/cli.md. */
const OWN = [
  'run',
  'list',
  'status',
  'watch',
  'set-permits',
  'release',
  'rm',
  'repair',
  'serve',
  'dashboard',
  'server',
];

const cli = useCli();
let server: TestServer;
let dispatcher: NatsDispatcher;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  server = await TestServer.start();
  env = { NATS_URL: server.url };
  dispatcher = await NatsDispatcher.connect({ servers: server.url, holder: 'tester' });
});
afterAll(async () => {
  await dispatcher.close();
  await server.stop();
});

const run = (...args: string[]): Promise<Ended> => cli().run(args, { env });
async function json<T>(...args: string[]): Promise<T> {
  const { code, stderr, stdout } = await run(...args, '--json');
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as T;
}

describe('list and status', () => {
  it('show every kind of primitive, for people and as JSON', async () => {
    const permits = [
      await dispatcher.semaphore('shown', 3).lock({ metadata: { job: 'x\u001b[2J' } }),
      await dispatcher.mutex('shown').lock(5_000),
      await dispatcher.readWriteLock('shown').read.lock(5_000),
    ];
    await dispatcher.latch('shown', 2).countDown();

    const listed = (await json<{ name: string }[]>('list')).filter(({ name }) => name === 'shown');
    expect(listed).toEqual([
      { name: 'shown', kind: 'latch', slots: 2, held: 1, waiting: 0 },
      { name: 'shown', kind: 'mutex', slots: 1, held: 1, waiting: 0 },
      { name: 'shown', kind: 'read-write-lock', held: 1, waiting: 0 },
      { name: 'shown', kind: 'semaphore', slots: 3, held: 1, waiting: 0 },
    ]);
    const { stdout: table } = await run('list');
    expect(table).toMatch(/^NAME +KIND +SLOTS +HELD +WAITING$/m);
    expect(table).toMatch(/^shown +semaphore +3 +1 +0$/m);

    const held = {
      permitId: expect.any(String) as unknown,
      holder: 'tester',
      since: expect.stringMatching(/^\d{4}-.*Z$/) as unknown,
      expiresAt: expect.stringMatching(/^\d{4}-.*Z$/) as unknown,
      fencingToken: expect.stringMatching(/^\d+$/) as unknown,
      metadata: {},
    };
    const slots = { waiters: [], corrupt: [] };
    const keeps = { kept: [] };
    expect(await json('status', 'shown')).toEqual([
      {
        name: 'shown',
        kind: 'latch',
        count: 1,
        total: 2,
        counted: [{ holder: 'tester', count: 1 }],
        corrupt: [],
      },
      {
        name: 'shown',
        kind: 'mutex',
        slots: 1,
        available: 0,
        holders: [{ ...held, slots: [0] }],
        ...slots,
        ...keeps,
      },
      { name: 'shown', kind: 'read-write-lock', holders: [{ ...held, mode: 'read' }], ...slots },
      {
        name: 'shown',
        kind: 'semaphore',
        slots: 3,
        available: 2,
        holders: [{ ...held, slots: [expect.any(Number)], metadata: { job: 'x\u001b[2J' } }],
        ...slots,
        ...keeps,
      },
    ]);
    const { stdout } = await run('status', 'shown', '--kind', 'semaphore');
    expect(stdout).toMatch(/^shown {2}semaphore {2}2 of 3 free, 0 waiting$/m);
    // What others have written does not drive the terminal.
    expect(stdout).toContain('job=x\\u{1b}[2J');
    expect((await run('status', 'shown')).stdout.match(/^shown {2}/gm)).toHaveLength(4);
    for (const permit of permits) await permit.release();
  });

  it('say so if there is nothing, or no such kind', async () => {
    const { code, stderr } = await run('status', 'nothing-here', '--json');
    expect([code, JSON.parse(stderr)]).toEqual([1, expect.objectContaining({ code: 'NOT_FOUND' })]);
    await dispatcher.semaphore('just-a-semaphore', 1).setPermits(1);
    expect((await run('status', 'just-a-semaphore', '--kind', 'latch')).code).toBe(1);
    expect((await run('status', 'just-a-semaphore', '--kind', 'spoon')).code).toBe(64);
  });
});

describe('set-permits', () => {
  it('changes the limit for all', async () => {
    const semaphore = dispatcher.semaphore('resized', 1);
    const held = await semaphore.lock(5_000);
    const waiting = semaphore.lock(20_000);
    expect(await json('set-permits', 'resized', '2')).toEqual({ name: 'resized', slots: 2 });
    await Promise.all([held.release(), (await waiting).release()]);
    for (const wrong of ['0', '-1', 'two', '10001']) {
      expect((await run('set-permits', 'resized', wrong)).code).toBe(64);
    }
    expect((await run('set-permits', 'resized')).code).toBe(64);
    expect((await semaphore.status()).slots).toBe(2);
  });
});

describe('rm', () => {
  it('removes what nobody uses, and what is used only by force', async () => {
    await dispatcher.semaphore('removable', 2).setPermits(2);
    expect(await json('rm', 'removable')).toEqual({ name: 'removable', kinds: ['semaphore'] });
    expect((await run('rm', 'removable')).code).toBe(1);
    const permit = await dispatcher.mutex('removable').lock();
    const refused = await run('rm', 'removable');
    expect([refused.code, refused.stderr]).toEqual([75, expect.stringContaining('force: true') as unknown]);
    expect(permit.isHeld).toBe(true);
    expect(await json('rm', 'removable', '--force')).toEqual({ name: 'removable', kinds: ['mutex'] });
    await eventually(() => expect(permit.isHeld).toBe(false));
  });
});

describe('repair', () => {
  it('shows what can not be read, and removes that alone', async () => {
    const own = ['--bucket', 'REPAIR'];
    await using inside = await NatsDispatcher.connect({ servers: server.url, bucket: 'REPAIR' });
    const permit = await inside.semaphore('good', 1).acquire({ timeout: 5_000 });
    expect(await json<unknown>('repair', ...own)).toEqual([]);
    expect((await run('repair', '--remove', ...own)).stdout).toBe('Every entry can be read.\n');
    const foreign = await connect({ servers: server.url });
    const key = 'sem.bad.slot.0';
    await foreign.request(`$KV.REPAIR.${key}`, 'not JSON');
    await foreign.close();

    const entry = {
      key,
      removed: false,
      reason: expect.stringMatching(/JSON/),
      revision: expect.any(Number),
    };
    const since = { writtenAt: expect.stringMatching(/^\d{4}-.*Z$/) };
    for (let again = 0; again < 2; again++)
      expect(await json<unknown>('repair', ...own)).toEqual([
        expect.objectContaining({ ...entry, ...since }),
      ]);
    expect((await run('run', 'bad', '--slots', '1', ...own, '--', 'true')).code).toBe(65);

    const { code, stdout } = await run('repair', '--remove', ...own);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^KEY +REVISION +WRITTEN +REMOVED +REASON$/m);
    expect(stdout).toMatch(/^sem\.bad\.slot\.0 .* yes .*JSON/m);
    expect(await json<unknown>('repair', ...own)).toEqual([]);
    expect((await run('run', 'bad', '--slots', '1', ...own, '--', 'true')).code).toBe(0);
    expect(permit.isHeld).toBe(true);
    expect(await permit.release()).toBe(true);
  });
});

describe('release', () => {
  it.each([
    ['semaphore', () => dispatcher.semaphore('taken', 2)],
    ['mutex', () => dispatcher.mutex('taken')],
    ['read-write-lock', () => dispatcher.readWriteLock('taken').write],
  ])('takes a permit of a %s away', async (kind, lock) => {
    const permit = await lock().lock(5_000);
    expect((await run('release', 'taken', 'no-such-permit')).code).toBe(1);
    expect(await json('release', 'taken', permit.id)).toEqual({
      name: 'taken',
      kind,
      permitId: permit.id,
      released: true,
    });
    await eventually(() => expect(permit.isHeld).toBe(false));
    expect((await run('release', 'taken', permit.id)).code).toBe(1);
  });
});

describe('watch', () => {
  const start = (...args: string[]): CliProcess => cli().start(['watch', ...args], { env });

  it('tells every change as JSON, also of what comes up later, until it is ended', async () => {
    const one = start('seen', '--json');
    const all = start('--json');
    const semaphore = dispatcher.semaphore('seen', 2);
    const permit = await semaphore.lock(5_000);
    const states = (job: CliProcess) =>
      job.json<{ name: string; kind: string; available: number }>().filter(({ name }) => name === 'seen');
    for (const job of [one, all])
      await eventually(() => expect(states(job).at(-1)?.available).toBe(1), 20_000);
    await permit.release();
    for (const job of [one, all])
      await eventually(() => expect(states(job).at(-1)?.available).toBe(2), 20_000);
    expect(one.json()).toHaveLength(states(one).length);
    one.kill('SIGINT');
    all.kill('SIGTERM');
    expect(await Promise.all([one.ended, all.ended])).toMatchObject([{ code: 0 }, { code: 0 }]);
  });

  it('draws the view in place on a terminal', async () => {
    const permit = await dispatcher.mutex('drawn').lock(5_000);
    const command = `stty rows 30 cols 120; exec "${process.execPath}" "${cli().main}" watch drawn`;
    const job = cli().script('script -qec "$LINE" /dev/null', { ...env, LINE: command });
    await eventually(
      () => expect(job.stdout.match(/drawn {2}mutex {2}0 of 1 free/g)?.length).toBeGreaterThan(2),
      20_000,
    );
    expect(job.stdout).toContain('\u001b[');
    const [watching] = cli()
      .left('watch drawn')
      .filter((line) => !line.includes('script'));
    process.kill(Number.parseInt(watching ?? '', 10), 'SIGINT');
    expect((await job.ended).code).toBe(0);
    // The cursor is back.
    expect(job.stdout.trimEnd().endsWith('\u001b[?25h')).toBe(true);
    await permit.release();
  });

  it('ends quietly when its reader has gone', async () => {
    const job = cli().script('set -o pipefail; nats-semaphore watch seen --json | head -n 1', env);
    await job.said('{');
    await dispatcher.semaphore('seen', 2).lock(5_000, () => undefined);
    const { code, stderr } = await job.ended;
    expect([code, stderr]).toEqual([141, '']);
  });
});

describe('server', () => {
  it('runs a server to try things on, until it is told to end', async () => {
    const own = cli().start(['server', '--json']);
    await own.said('{');
    const [{ pid, storeDir, url }] = own.json<{ url: string; storeDir: string; pid: number }>() as [
      { url: string; storeDir: string; pid: number },
    ];
    expect((await cli().run(['run', 'pool', '-s', url, '--', 'true'])).code).toBe(0);
    own.kill('SIGINT');
    expect((await own.ended).code).toBe(0);
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(cli().left(storeDir)).toEqual([]);
  });

  it('can be told which port and where', async () => {
    const { path } = scratchDirectory();
    const port = server.port;
    const taken = await cli().run(['server', '--port', `${port}`]);
    expect(taken.code).toBe(1);
    expect((await cli().run(['server', '--port', '70000'])).code).toBe(64);
    const own = cli().start(['server', '--store-dir', path]);
    const url = (await own.said('export NATS_URL=')).trim();
    expect((await cli().run(['set-permits', 'pool', '3', '-s', url])).code).toBe(0);
    own.kill('SIGTERM');
    await own.ended;
    const again = cli().start(['server', '--store-dir', path]);
    const listed = await cli().run(['list', '--json', '-s', await again.said('export NATS_URL=')]);
    expect(JSON.parse(listed.stdout)).toMatchObject([{ name: 'pool', slots: 3 }]);
    again.kill('SIGTERM');
    await again.ended;
  });
});

describe('connection options', () => {
  it('work before and after the command, and a flag wins over the environment', async () => {
    const wrong = { NATS_URL: 'nats://127.0.0.1:1' };
    expect((await cli().run(['-s', server.url, 'list'], { env: wrong })).code).toBe(0);
    expect((await cli().run(['list', '--server', server.url], { env: wrong })).code).toBe(0);
    expect((await cli().run(['list'], { env: wrong })).code).toBe(69);
    expect((await cli().run(['list', '-s', `nats://127.0.0.1:1, ${server.url}`])).code).toBe(0);
  });

  it('name the bucket, and how it is made', async () => {
    const args = ['run', 'pool', '--bucket', 'OTHER', '--storage', 'memory', '--', 'true'];
    expect((await run(...args)).code).toBe(0);
    const { stdout } = await cli().run(['list', '--json'], {
      env: { ...env, NATS_SEMAPHORE_BUCKET: 'OTHER', NATS_SEMAPHORE_STORAGE: 'memory' },
    });
    expect(JSON.parse(stdout)).toMatchObject([{ name: 'pool' }]);
    expect((await run('list', '--bucket', 'OTHER')).code).toBe(78);
    expect((await run('list', '--bucket', 'THIRD', '--replicas', '2')).code).toBe(78);
  });

  it('sign in with a credentials file, over TLS, and say what a role may not do', async () => {
    using credentials = await Credentials.make();
    using certificates = await Certificates.make();
    await using secure = await TestServer.start({ config: credentials.config, env: certificates.env });
    const ca = scratchDirectory().write('ca.pem', certificates.ca);
    const as = (role: 'operator' | 'worker' | 'observer', ...args: string[]): Promise<Ended> =>
      cli().run(
        [
          ...args.slice(0, 2),
          '--creds',
          credentials.file(role),
          '--inbox-prefix',
          inboxOf(role),
          ...args.slice(2),
        ],
        {
          env: { NATS_URL: secure.url, NATS_CA: ca },
        },
      );
    expect((await as('operator', 'set-permits', 'pool', '2')).code).toBe(0);
    expect((await as('worker', 'run', 'pool', '--', 'true')).code).toBe(0);
    expect((await as('observer', 'list', '--json')).stdout).toContain('pool');
    expect((await as('worker', 'set-permits', 'pool', '3')).code).toBe(77);
    // Whom nobody has let in, and whose certificate nobody has signed.
    expect((await cli().run(['list', '-s', secure.url, '--tlsca', ca])).code).toBe(77);
    expect((await cli().run(['list', '-s', secure.url, '--creds', credentials.file('operator')])).code).toBe(
      69,
    );
  });

  it('sign in by name and password, by token, and by nkey', async () => {
    const files = scratchDirectory();
    const user = nkeys.createUser();
    const seed = files.write('user.nk', `# mine\n${Buffer.from(user.getSeed()).toString()}\n`);
    const config = (name: string, authorization: string): string =>
      files.write(name, `jetstream { store_dir: $NATS_STORE_DIR }\nauthorization { ${authorization} }`);
    const passwordFile = ['--password-file', files.write('password', 'se cret\n')];
    const cases: [string, string, NodeJS.ProcessEnv, string[]][] = [
      ['user', 'user: me, password: secret', { NATS_USER: 'me', NATS_PASSWORD: 'secret' }, []],
      ['token', 'token: sesame', {}, ['--user', 'sesame']],
      [
        'file-of-password',
        'user: me, password: "se cret"',
        { NATS_USER: 'me', NATS_PASSWORD: 'wrong' },
        passwordFile,
      ],
      ['file-of-token', 'token: sesame', { NATS_TOKEN_FILE: files.write('token', 'sesame') }, []],
      ['nkey', `users: [{ nkey: ${user.getPublicKey()} }]`, { NATS_NKEY: seed }, []],
    ];
    for (const [name, authorization, given, args] of cases) {
      await using own = await TestServer.start({ config: config(`${name}.conf`, authorization) });
      expect((await cli().run(['list', '-s', own.url, ...args], { env: given })).code).toBe(0);
      expect((await cli().run(['list', '-s', own.url])).code).toBe(77);
    }
    expect((await cli().run(['list', '-s', server.url, '--password', 'secret'])).code).toBe(64);
    expect((await cli().run(['list', '-s', server.url], { env: { NATS_PASSWORD_FILE: seed } })).code).toBe(
      64,
    );
    expect((await cli().run(['list', '-s', server.url, '--nkey', files.write('none.nk', 'none')])).code).toBe(
      64,
    );
  });
});

describe('a secret', () => {
  it('in a file may come through a pipe, and has one line', async () => {
    const files = scratchDirectory();
    const authorization = 'authorization { token: sesame }';
    const config = files.write('token.conf', `jetstream { store_dir: $NATS_STORE_DIR }\n${authorization}`);
    await using own = await TestServer.start({ config });
    const env = { NATS_URL: own.url };
    const piped = cli().script('nats-semaphore list --nats-token-file <(echo sesame)', env);
    expect((await piped.ended).code).toBe(0);
    for (const [file, why] of [
      [files.write('empty', '\n'), 'is empty'],
      [files.write('lines', 'sesame\nother-secret\n'), 'has several lines'],
      [files.write('long', 'x'.repeat(70_000)), 'at most 64 KB'],
      ['/dev/zero', 'at most 64 KB'],
      [files.path, 'at most 64 KB'],
      ['/does/not/exist', 'no such file'],
    ] as const) {
      for (const flag of ['--nats-token-file', '--password-file']) {
        const { code, stderr } = await cli().run(['list', '--user', 'u', flag, file], { env });
        expect([code, stderr]).toEqual([64, expect.stringMatching(`${flag}: .*${why}`)]);
        expect(stderr).not.toContain('sesame');
      }
    }
  });

  it('after a mistyped option is not shown in an error', async () => {
    for (const flags of [[], ['--json']]) {
      const { code, stderr } = await cli().run(['list', ...flags, '--pasword=topsecret']);
      expect([code, stderr]).toEqual([64, expect.stringContaining("unknown option '--pasword'")]);
      expect(stderr).not.toContain('topsecret');
    }
  });
});

describe('help', () => {
  it('lists all commands, and all options with their environment variables', async () => {
    const { code, stdout } = await cli().run(['--help']);
    expect(code).toBe(0);
    for (const name of OWN) {
      expect(stdout).toMatch(new RegExp(`^ {2}${name} `, 'm'));
      const help = await cli().run([name, '--help']);
      expect([help.code, help.stdout]).toEqual([0, expect.stringContaining('NATS_CREDS')]);
    }
    const { version } = JSON.parse(
      (await cli().run(['--version', '--json'])).stdout.replace(/^(.*)$/m, '{"version":"$1"}'),
    ) as { version: string };
    expect(version).toMatch(/^\d+\.\d+\.\d+/);
  });

  it('has every command and option in docs/cli.md', () => {
    const page = readFileSync(join(__dirname, '..', '..', 'docs', 'cli.md'), 'utf8');
    const program = buildProgram();
    for (const command of program.commands.filter((one) => OWN.includes(one.name()))) {
      expect(page).toContain(`nats-semaphore ${command.name()}`);
      for (const { long } of command.options) expect(page).toMatch(new RegExp(`${long}\\b`));
    }
    for (const { envVar, long } of program.options) {
      if (long !== '--version') expect(page).toMatch(new RegExp(`${long}\\b`));
      if (envVar !== undefined) expect(page).toContain(`\`${envVar}\``);
    }
  });

  it('explains wrong commands', async () => {
    const wrong = await cli().run(['lst']);
    expect([wrong.code, wrong.stdout]).toEqual([64, '']);
    expect(wrong.stderr).toContain('Did you mean list?');
    expect((await cli().run([])).code).toBe(64);
    expect(JSON.parse((await cli().run(['--json'])).stderr)).toEqual({
      event: 'error',
      code: 'USAGE',
      message: 'no command is given',
    });
  });
});
