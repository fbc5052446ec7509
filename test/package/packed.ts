import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const root = join(__dirname, '..', '..');
const run = promisify(execFile);

/** What the package is built and packed from. `dist` of the checkout is left alone. */
const SOURCES = [
  'src',
  'scripts',
  'docker',
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
];

interface Manifest {
  readonly bin: Record<string, string>;
  readonly dependencies: Record<string, string>;
}

/** The package as it would be published, installed in a project of its own. */
export class PackedPackage implements Disposable {
  private constructor(
    private readonly dir: string,
    /** Paths in the tarball. */
    readonly files: readonly string[],
  ) {}

  static async create(): Promise<PackedPackage> {
    const dir = mkdtempSync(join(tmpdir(), 'nats-semaphore-package-'));
    const source = join(dir, 'source');
    for (const path of SOURCES) cpSync(join(root, path), join(source, path), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(source, 'node_modules'));
    await run(process.execPath, [join(source, 'scripts', 'build.mjs')]);
    const pack = ['pack', '--ignore-scripts', '--json', '--pack-destination', dir];
    const { stdout } = await run('npm', pack, { cwd: source });
    const [packed] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
    const it = new PackedPackage(dir, packed?.files.map(({ path }) => path) ?? []);

    // Extracted with nothing beside it but what it declares: an import of anything else fails.
    await run('tar', ['-xzf', join(dir, packed?.filename ?? ''), '-C', dir]);
    mkdirSync(it.project);
    cpSync(join(dir, 'package'), it.installed, { recursive: true });
    const manifest = JSON.parse(readFileSync(join(it.installed, 'package.json'), 'utf8')) as Manifest;
    for (const name of Object.keys(manifest.dependencies)) link(name, it.installed);
    // As npm does it.
    const bin = join(it.project, 'node_modules', '.bin');
    mkdirSync(bin, { recursive: true });
    for (const [name, file] of Object.entries(manifest.bin))
      symlinkSync(join(it.installed, file), join(bin, name));
    // What its user has installed as well, out of its reach.
    for (const name of ['@types/node', '@nats-io/transport-node', 'nats']) link(name, it.project);
    return it;
  }

  get installed(): string {
    return join(this.dir, 'node_modules', 'nats-semaphore');
  }

  /** Runs a program in the project; resolves with its output once it has ended by itself. */
  async run(file: string, source: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
    this.write(file, source);
    return this.node([join(this.project, file)], env);
  }

  /** Compiles the files, with types of the package and of its dependencies checked too. */
  async compile(files: Record<string, string>, options: Record<string, unknown>): Promise<void> {
    for (const [file, source] of Object.entries(files)) this.write(file, source);
    const compilerOptions = {
      strict: true,
      skipLibCheck: false,
      target: 'es2022',
      types: ['node'],
      ...options,
    };
    const config = `tsconfig.${Object.keys(files)[0]}.json`;
    this.write(config, JSON.stringify({ compilerOptions, files: Object.keys(files) }));
    const tsc = require.resolve('typescript/bin/tsc');
    try {
      await this.node([tsc, '-p', join(this.project, config)], {});
    } catch (error) {
      throw new Error((error as { stdout: string }).stdout, { cause: error });
    }
  }

  /** Runs a file of the project that is there already. */
  async node(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
    // SIGKILL: a program may do what it likes with the others.
    const limit = { timeout: 120_000, killSignal: 'SIGKILL' } as const;
    const options = { cwd: this.project, env: { ...process.env, ...env }, ...limit };
    return (await run(process.execPath, args, options)).stdout;
  }

  /** Runs a program that the package brings; resolves with its output. */
  async npx(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
    const options = { cwd: this.project, env: { ...process.env, ...env }, timeout: 120_000 } as const;
    return (await run('npx', ['--no-install', ...args], options)).stdout;
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  private get project(): string {
    return join(this.dir, 'project');
  }

  private write(file: string, source: string): void {
    writeFileSync(join(this.project, file), source);
  }
}

function link(name: string, into: string): void {
  const path = join(into, 'node_modules', name);
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(join(root, 'node_modules', name), path);
}
