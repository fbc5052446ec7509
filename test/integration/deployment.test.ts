import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { type Instruction, DockerfileParser } from 'dockerfile-ast';
import { validate } from 'dockerfile-utils';
import { parseAllDocuments, parseDocument } from 'yaml';
import { buildProgram } from '../../src/cli/program';
import { scratchDirectory } from '../support/scratch';

const ROOT = join(__dirname, '..', '..');
const DOCKER = join(ROOT, 'docker');
const run = promisify(execFile);

/** Checks the arguments as the command line would, without doing anything. */
function parse(args: readonly string[]): void {
  const program = buildProgram(true);
  for (const command of program.commands) command.action(() => undefined);
  program.parse(args, { from: 'user' });
}

/** A file's only document. Merge keys (`<<`) are what compose understands, too. */
function yaml<T>(path: string): T {
  const document = parseDocument(readFileSync(path, 'utf8'), { merge: true, uniqueKeys: true });
  expect([...document.errors, ...document.warnings]).toEqual([]);
  return document.toJS() as T;
}

describe('docker/Dockerfile', () => {
  const text = readFileSync(join(DOCKER, 'Dockerfile'), 'utf8');
  const file = DockerfileParser.parse(text);
  const all = (keyword: string): Instruction[] =>
    file.getInstructions().filter((instruction) => instruction.getKeyword() === keyword);
  const json = (instruction: Instruction | undefined): string[] =>
    JSON.parse(instruction?.getArgumentsContent() ?? '') as string[];

  it('has nothing that a linter complains about', () => {
    expect(validate(text).map(({ message }) => message)).toEqual([]);
  });

  it('copies what is there and what is let in, and what the build makes', () => {
    const allowed = readFileSync(join(DOCKER, 'Dockerfile.dockerignore'), 'utf8').match(/(?<=^!).+/gm);
    for (const copy of file.getCOPYs()) {
      const paths = copy
        .getArguments()
        .map((argument) => argument.getValue())
        .slice(0, -1);
      if (copy.getFromFlag() !== null) continue;
      for (const path of paths) {
        expect(existsSync(join(ROOT, path))).toBe(true);
        expect(allowed).toContain(path);
      }
    }
    const { bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      bin: Record<string, string>;
    };
    expect(text).toContain(`/app/${bin['nats-semaphore']} /usr/local/bin/nats-semaphore`);
  });

  it('runs as somebody without rights, with a health check', () => {
    const last = (keyword: string): Instruction | undefined => all(keyword).at(-1);
    expect(last('USER')?.getArgumentsContent()).toBe('node');
    expect(last('USER')!.getRange().start.line).toBeGreaterThan(all('FROM').at(-1)!.getRange().start.line);
    expect(all('FROM')).toHaveLength(2);
    expect(json(last('ENTRYPOINT'))).toEqual(['tini', '--', 'nats-semaphore']);
    expect(json(last('CMD'))).toEqual(['serve']);
  });

  it('is healthy when the sidecar answers, and only then', async () => {
    const check = /CMD (\[.*healthz.*\])/.exec(text)?.[1] ?? '';
    const [, flag, script] = JSON.parse(check) as [string, string, string];
    // Nothing listens there.
    const port = 9;
    await expect(run(process.execPath, [flag, script.replace(':4280', `:${port}`)])).rejects.toMatchObject({
      code: 1,
    });
    const answering = `require('node:http').createServer((_, answer) => answer.end()).listen(0, '127.0.0.1', function () {
      const url = 'http://127.0.0.1:' + this.address().port + '/healthz'; ${script.replace(/'http:[^']+'/, 'url')} })`;
    await run(process.execPath, ['-e', answering]);
  });
});

interface Service {
  readonly image?: string;
  readonly command?: string[];
  readonly environment?: Record<string, string | number>;
  readonly volumes?: string[];
  readonly build?: { context: string; dockerfile: string };
  readonly network_mode?: string;
  readonly depends_on?: Record<string, object>;
}
interface Compose {
  readonly include?: string[];
  readonly services: Record<string, Service>;
  readonly volumes?: Record<string, unknown>;
}

describe.each(['compose.single.yaml', 'compose.cluster.yaml', 'compose.sidecar.yaml'])(
  'docker/%s',
  (name) => {
    const { include = [], services, volumes = {} } = yaml<Compose>(join(DOCKER, name));
    const known = [
      ...Object.keys(services),
      ...include.flatMap((other) => Object.keys(yaml<Compose>(join(DOCKER, other)).services)),
    ];
    const servers = Object.values(services).filter(({ image }) => image?.startsWith('nats:'));

    it('names only what there is', () => {
      for (const service of Object.values(services)) {
        for (const volume of service.volumes ?? []) {
          const [from = ''] = volume.split(':');
          if (from.startsWith('.')) expect(existsSync(join(DOCKER, from))).toBe(true);
          else expect(Object.keys(volumes)).toContain(from);
        }
        for (const other of Object.keys(service.depends_on ?? {})) expect(known).toContain(other);
        const [, shared] = /^service:(.*)$/.exec(service.network_mode ?? '') ?? [];
        if (shared !== undefined) expect(known).toContain(shared);
        const { build } = service;
        if (build !== undefined) expect(existsSync(join(DOCKER, build.context, build.dockerfile))).toBe(true);
      }
    });

    it('gives every nats-server all that its config asks for', async () => {
      const binary = process.env.NATS_SERVER_BIN ?? '';
      for (const { command = [], environment, volumes: mounts = [] } of servers) {
        const config = command[command.indexOf('--config') + 1] ?? '';
        // As in the container: what is not mounted beside it is not there.
        const scratch = scratchDirectory();
        for (const [from = '', to = ''] of mounts.map((volume) => volume.split(':'))) {
          if (dirname(to) === dirname(config))
            scratch.write(basename(to), readFileSync(resolve(DOCKER, from)));
        }
        const given = Object.entries({ ...environment, NATS_STORE_DIR: scratch.path });
        const env = (entries: typeof given): NodeJS.ProcessEnv =>
          Object.fromEntries(entries.map(([key, value]) => [key, `${value}`]));
        const check = ['-t', '--config', join(scratch.path, basename(config))];
        await run(binary, check, { env: env(given) });
        for (const [missing] of given) {
          const less = given.filter(([key]) => key !== missing);
          await expect(run(binary, check, { env: env(less) })).rejects.toMatchObject({
            stderr: expect.stringContaining(missing) as unknown,
          });
        }
      }
      expect(servers.length).toBe({ 'compose.single.yaml': 1, 'compose.cluster.yaml': 3 }[name] ?? 0);
    });
  },
);

interface Container {
  readonly image: string;
  readonly args?: string[];
  readonly restartPolicy?: string;
  readonly env?: { name: string; value: string }[];
  readonly volumeMounts?: { name: string }[];
}
interface Deployment {
  readonly spec: {
    readonly template: {
      readonly spec: { initContainers: Container[]; containers: Container[]; volumes: { name: string }[] };
    };
  };
}

describe('docker/kubernetes/sidecar.yaml', () => {
  const path = join(DOCKER, 'kubernetes', 'sidecar.yaml');
  const { containers, initContainers, volumes } = yaml<Deployment>(path).spec.template.spec;

  it('has a sidecar that goes on, of this version', () => {
    expect(parseAllDocuments(readFileSync(path, 'utf8'))).toHaveLength(1);
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(initContainers).toMatchObject([{ restartPolicy: 'Always', image: `nats-semaphore:${version}` }]);
  });

  it('mounts only what it has, and sets only what the command line reads', () => {
    const names = volumes.map((volume) => volume.name);
    for (const { volumeMounts = [] } of [...containers, ...initContainers]) {
      for (const mount of volumeMounts) expect(names).toContain(mount.name);
    }
    const read = buildProgram().options.map(({ envVar }) => envVar);
    for (const { name } of initContainers.flatMap(({ env = [] }) => env)) expect(read).toContain(name);
  });
});

describe('the commands in docker/', () => {
  const { services } = yaml<Compose>(join(DOCKER, 'compose.sidecar.yaml'));
  const { initContainers } = yaml<Deployment>(join(DOCKER, 'kubernetes', 'sidecar.yaml')).spec.template.spec;
  const shown =
    readFileSync(join(DOCKER, 'compose.cluster.yaml'), 'utf8').match(/(?<=nats-semaphore )-s .*/g) ?? [];

  const commands = [
    services.sidecar?.command ?? [],
    ...initContainers.map(({ args = [] }) => args),
    ...shown.map((line) => line.split(' ')),
  ];
  // Comes with the sidecar. Without it nothing can be said of its options.
  const hasSidecar = buildProgram().commands.some((command) => command.name() === 'serve');

  it.each(commands.filter(([first]) => hasSidecar || first !== 'serve'))(
    'are taken by the command line: %s %s',
    (...args) => {
      expect(() => parse(args)).not.toThrow();
    },
  );
});
