import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect } from '@jest/globals';
import ts from 'typescript';
import { sendSignal } from '../../src/cli/run/process-group';
import { eventually } from './eventually';

const ROOT = join(__dirname, '..', '..');
const SRC = join(ROOT, 'src');

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
}

/** One run of the command line, or of a script that calls it. In a process group of its own. */
export class CliProcess {
  stdout = '';
  stderr = '';
  readonly ended: Promise<Ended>;
  private over = false;

  constructor(readonly child: ChildProcess) {
    child.stdout?.on('data', (data: Buffer) => (this.stdout += data.toString()));
    child.stderr?.on('data', (data: Buffer) => (this.stderr += data.toString()));
    this.ended = once(child, 'close').then(([code, signal]) => {
      this.over = true;
      return {
        code: code as number | null,
        signal: signal as NodeJS.Signals | null,
        stdout: this.stdout,
        stderr: this.stderr,
      };
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get isOver(): boolean {
    return this.over;
  }

  kill(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** Of its group there may be more than itself, or nothing any more. */
  killGroup(signal: NodeJS.Signals): void {
    sendSignal(-this.pid, signal);
  }

  /** Resolves when it has written a line to stdout that begins so, with the rest of that line. */
  async said(start: string): Promise<string> {
    let found: string | undefined;
    await eventually(() => {
      found = this.stdout.split('\n').find((line) => line.startsWith(start));
      if (found === undefined) throw new Error(`it has not said ${start}: ${this.stdout}${this.stderr}`);
    }, 20_000);
    return (found ?? '').slice(start.length).trim();
  }

  json<T>(): T[] {
    return this.stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as T);
  }
}

/** The command line, compiled once for a test file into a directory of its own. */
export class Cli {
  readonly running = new Set<CliProcess>();

  constructor(private readonly dir: string) {}

  get main(): string {
    return join(this.dir, 'cli', 'main.js');
  }

  start(args: readonly string[], { env, input }: CliOptions = {}): CliProcess {
    return this.spawn(process.execPath, [this.main, ...args], env, input);
  }

  run(args: readonly string[], options?: CliOptions): Promise<Ended> {
    return this.start(args, options).ended;
  }

  /** Runs a script of bash, in which `nats-semaphore` is this command line. */
  script(text: string, env?: NodeJS.ProcessEnv): CliProcess {
    const define = `nats-semaphore() { ${JSON.stringify(process.execPath)} ${JSON.stringify(this.main)} "$@"; }\n`;
    return this.spawn('bash', ['-c', define + text], env);
  }

  /** What is left of it, and of whatever has its directory or `mark` among its arguments. */
  left(mark = this.dir): string[] {
    return execFileSync('ps', ['-A', '-o', 'pid=,stat=,args='], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.includes(mark) && !/^\s*\d+\s+Z/.test(line));
  }

  /** The pids of the keepers of its runs. Another file of tests has its own at the same time. */
  keepers(): number[] {
    return this.left(join(this.dir, 'cli', 'run', 'keeper.js')).map((line) => Number.parseInt(line, 10));
  }

  async stopAll(): Promise<void> {
    for (const each of this.running) {
      if (each.isOver) continue;
      each.killGroup('SIGCONT');
      each.killGroup('SIGKILL');
    }
    await Promise.all([...this.running].map(({ ended }) => ended));
    this.running.clear();
  }

  private spawn(
    file: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
    input?: string,
  ): CliProcess {
    const child = spawn(file, args, {
      detached: true,
      env: { ...process.env, NATS_URL: undefined, ...env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
    const started = new CliProcess(child);
    this.running.add(started);
    return started;
  }
}

/** Compiles the command line before the tests of a file; nothing of it may be left after any of them. */
export function useCli(): () => Cli {
  let dir: string;
  let cli: Cli;
  beforeAll(() => {
    mkdirSync(join(ROOT, '.cache'), { recursive: true });
    dir = mkdtempSync(join(ROOT, '.cache', 'cli-'));
    compileInto(dir);
    cli = new Cli(dir);
  });
  afterEach(async () => {
    await cli.stopAll();
    await eventually(() => expect(cli.left()).toEqual([]), 15_000);
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  return () => cli;
}

/** Types are the business of `npm run types`: this takes two seconds less for every file of tests. */
function compileInto(dir: string): void {
  for (const path of readdirSync(SRC, { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.ts')) continue;
    const { outputText } = ts.transpileModule(readFileSync(join(SRC, path), 'utf8'), {
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.Node20,
        esModuleInterop: true,
      },
      fileName: join(SRC, path),
    });
    const file = join(dir, path.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, outputText);
  }
}
