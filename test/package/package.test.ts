import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestServer } from '../../src/testing';
import { exportedNames } from './exported-names';
import { PackedPackage } from './packed';

let packed: PackedPackage;
let server: TestServer;

beforeAll(async () => {
  [packed, server] = await Promise.all([PackedPackage.create(), TestServer.start()]);
}, 120_000);

afterAll(async () => {
  packed[Symbol.dispose]();
  await server.stop();
});

const env = () => ({ NATS_URL: server.url });

describe('the tarball', () => {
  it('has what a user needs and nothing else', () => {
    const outside = packed.files.filter((path) => !path.startsWith('dist/'));
    expect(outside.sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'docker/cluster.conf',
      'docker/roles.conf',
      'docker/secure.conf',
      'docker/single.conf',
      'docker/tls.conf',
      'package.json',
      'scripts/fetch.bash',
      'scripts/nats-server',
    ]);
    const kinds = new Set(packed.files.map((path) => /(\.d)?\.[a-z]+$/.exec(path)?.[0]));
    expect([...kinds].filter((kind) => kind === '.ts' || kind === '.map')).toEqual([]);
  });

  it('exports these names', () => {
    expect(exportedNames(join(packed.installed, 'dist/esm/index.d.mts'))).toMatchInlineSnapshot(`
     [
       "AcquireAllWant",
       "AcquireOptions",
       "AcquireTimeoutError",
       "BackendUnavailableError",
       "BucketConfigError",
       "ConnectOptions",
       "ConnectionState",
       "CorruptEntryError",
       "CountDownLatch",
       "Dispatcher",
       "DispatcherClosedError",
       "DispatcherEvents",
       "DispatcherOptions",
       "ErrorDetails",
       "HolderStatus",
       "KeptStatus",
       "LatchStatus",
       "LatchWaitOptions",
       "LimitConflictError",
       "LimitPolicy",
       "ListedLock",
       "LocalDispatcher",
       "LocalDispatcherOptions",
       "Lock",
       "LockBackend",
       "LockConflictError",
       "LockManager",
       "LockManagerOptions",
       "LockOptions",
       "Mutex",
       "MutexOptions",
       "MutexStatus",
       "NatsConnection",
       "NatsDispatcher",
       "OutageEvents",
       "PermissionDeniedError",
       "Permit",
       "PermitEvents",
       "PermitKind",
       "PermitLostError",
       "PermitRef",
       "PrimitiveInUseError",
       "PrimitiveRef",
       "PrimitiveRemovedError",
       "PrimitiveSummary",
       "ReadWriteHolderStatus",
       "ReadWriteLock",
       "ReadWriteLockOptions",
       "ReadWriteLockStatus",
       "ReadWriteWaiterStatus",
       "RemoveOptions",
       "Semaphore",
       "SemaphoreError",
       "SemaphoreOptions",
       "SemaphoreStatus",
       "SlotKind",
       "SlotStatus",
       "StoreFullError",
       "UnsupportedServerError",
       "WaiterStatus",
       "Watchable",
       "WritePermit",
       "createLock",
       "getDefaultLockManager",
       "getLock",
       "getOrCreateLock",
       "lockContext",
     ]
    `);
    expect(exportedNames(join(packed.installed, 'dist/esm/testing.d.mts'))).toMatchInlineSnapshot(`
     [
       "ClusterOptions",
       "ServerOptions",
       "StopOptions",
       "TestCluster",
       "TestServer",
     ]
    `);
    expect(exportedNames(join(packed.installed, 'dist/esm/sidecar.d.mts'))).toMatchInlineSnapshot(`
     [
       "Sidecar",
       "SidecarLimits",
       "SidecarOptions",
       "startSidecar",
     ]
    `);
  });
});

describe('a JavaScript program', () => {
  const use = `
    async function use({ LocalDispatcher, NatsDispatcher }) {
      for (const dispatcher of [new LocalDispatcher(), await NatsDispatcher.connect()]) {
        const semaphore = dispatcher.semaphore('reports', 3);
        await semaphore.lock(5_000, async (permit) => {
          console.log(permit.isHeld, permit.fencingToken > 0n, await semaphore.availablePermits());
        });
        await dispatcher.close();
      }
    }`;
  const output = 'true true 2\n'.repeat(2);

  it('imports it', async () => {
    const program = `import * as all from 'nats-semaphore';\n${use}\nawait use(all);`;
    expect(await packed.run('use.mjs', program, env())).toBe(output);
  });

  it('requires it', async () => {
    const program = `const all = require('nats-semaphore');\n${use}\nvoid use(all);`;
    expect(await packed.run('use.cjs', program, env())).toBe(output);
  });

  it('gets one and the same library both ways', async () => {
    const program = `
      import { createRequire } from 'node:module';
      const require = createRequire(import.meta.url);
      for (const path of ['nats-semaphore', 'nats-semaphore/testing', 'nats-semaphore/sidecar']) {
        const imported = await import(path);
        const required = require(path);
        const names = Object.keys(required);
        console.log(names.length > 0, names.every((name) => imported[name] === required[name]));
        console.log(Object.keys(imported).filter((name) => !names.includes(name)).join());
      }`;
    expect(await packed.run('both.mjs', program)).toBe('true true\n\n'.repeat(3));
  });

  it('gets the same lock by name both ways, also at the top level of a module', async () => {
    const program = `
      import { createRequire } from 'node:module';
      import { getDefaultLockManager, getOrCreateLock } from 'nats-semaphore';
      const required = createRequire(import.meta.url)('nats-semaphore');
      const lock = getOrCreateLock('config', 'nats', { reentrant: true });
      console.log(lock === required.getOrCreateLock('config', 'nats'), lock === required.getLock('config'));
      const outer = await lock.lock(5_000);
      const inner = await required.getLock('config').lock(1_000);
      console.log(inner.id === outer.id, await required.createLock('nats', { name: 'config' }).tryAcquire());
      await getDefaultLockManager().close();`;
    expect(await packed.run('locks.mjs', program, env())).toBe('true true\ntrue null\n');
  });

  it('can not reach into it', async () => {
    const program = `await import('nats-semaphore/dist/cjs/engine/engine.js').catch(({ code }) => console.log(code));`;
    expect(await packed.run('inside.mjs', program)).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED\n');
  });

  it('starts a throwaway server with it', async () => {
    const program = `
      import { NatsDispatcher } from 'nats-semaphore';
      import { TestServer } from 'nats-semaphore/testing';
      const server = await TestServer.start();
      const dispatcher = await NatsDispatcher.connect({ servers: server.url });
      await dispatcher.semaphore('reports').lock(5_000, (permit) => console.log(permit.isHeld));
      await dispatcher.close();
      await server.stop();`;
    expect(await packed.run('testing.mjs', program)).toBe('true\n');
  });
});

describe('the command line', () => {
  it('runs, with nothing but what the package declares', async () => {
    const { version } = JSON.parse(readFileSync(join(packed.installed, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(await packed.npx(['nats-semaphore', '--version'])).toBe(`${version}\n`);
    const command = ['sh', '-c', 'echo $NATS_SEMAPHORE_NAME'];
    expect(await packed.npx(['nats-semaphore', 'run', 'packed', '--', ...command], env())).toBe('packed\n');
    expect(await packed.npx(['nats-semaphore', 'status', 'packed'], env())).toContain('1 of 1 free');
  });
});

describe('a TypeScript program', () => {
  const program = `
    import { connect as connect2 } from 'nats';
    import { connect as connect3 } from '@nats-io/transport-node';
    import { type AcquireOptions, type Dispatcher, type Permit, type Semaphore, NatsDispatcher } from 'nats-semaphore';
    import { TestServer } from 'nats-semaphore/testing';

    export async function use(servers: string): Promise<void> {
      for (const connection of [await connect2({ servers }), await connect3({ servers })]) {
        await share(new NatsDispatcher(connection, { bucket: 'typed' }));
        await connection.close();
      }
    }
    async function share(owned: Dispatcher): Promise<void> {
      await using dispatcher = owned;
      const semaphore: Semaphore = dispatcher.semaphore('reports', 3);
      const options: AcquireOptions = { timeout: 5_000 };
      const result: number = await semaphore.lock(options, (permit: Permit) => permit.count);
      await using permit: Permit = await semaphore.lock(5_000);
      const none: Permit | null = await semaphore.tryAcquire();
      console.log(result, permit.isHeld, await none?.release());
    }
    export const start: () => Promise<TestServer> = () => TestServer.start();
    // @ts-expect-error: a timeout is a number
    export const wrong = (semaphore: Semaphore) => semaphore.lock('5s');
    void use(process.env.NATS_URL ?? '');`;

  it.each([
    ['an ES module under nodenext', 'typed.mts', { module: 'nodenext' }],
    ['CommonJS under nodenext', 'typed.cts', { module: 'nodenext' }],
    ['under bundler resolution', 'typed-bundler.mts', { module: 'esnext', moduleResolution: 'bundler' }],
  ])('compiles and runs: %s', async (_, file, options) => {
    await packed.compile({ [file]: program }, options);
    const output = await packed.node([file.replace(/ts$/, 'js')], env());
    expect(output).toBe('1 true true\n'.repeat(2));
  });
});

const pageOf = (name: string): string => readFileSync(join(__dirname, '..', '..', name), 'utf8');
const snippetsOf = (page: string): (string | undefined)[] =>
  [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code);

describe.each(['guarantees', 'moving', 'telemetry'])('docs/%s.md', (name) => {
  it('has a program that compiles, runs and ends', async () => {
    const snippets = snippetsOf(pageOf(`docs/${name}.md`));
    expect(snippets.length).toBeGreaterThan(0);
    await packed.compile({ [`${name}.mts`]: snippets.join('\n') }, { module: 'nodenext' });
    await packed.node([`${name}.mjs`], env());
  });
});

describe('README.md', () => {
  const readme = pageOf('README.md');
  const snippets = snippetsOf(readme);

  it('has a program that compiles, runs and ends', async () => {
    expect(snippets.length).toBeGreaterThan(5);
    await packed.compile({ 'readme.mts': snippets.join('\n') }, { module: 'nodenext' });
    expect(await packed.node(['readme.mjs'], env())).toBe('2 of 3 free, 1 holder\n1 lock\n');
  });

  it.each(['demo', 'test'])('names a command that exists: %s', (script) => {
    expect(readme).toMatch(new RegExp(`^npm ci && npm (run )?${script}$`, 'm'));
    const { scripts } = JSON.parse(readFileSync(join(__dirname, '..', '..', 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    expect(scripts).toHaveProperty(script);
  });
});
