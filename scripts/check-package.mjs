// Builds and packs the package, and looks at the tarball as its users' tools will: publint, are-the-types-wrong, size.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What is downloaded with every install. Raise it knowingly. */
const MOST_BYTES = 320_000;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dir = mkdtempSync(join(tmpdir(), 'nats-semaphore-pack-'));
const failures = [];

function run(name, command, args) {
  try {
    return execFileSync(command, args, { cwd: root, encoding: 'utf8' });
  } catch (error) {
    console.error(error.stdout);
    failures.push(name);
    return '';
  }
}

try {
  execFileSync(process.execPath, [join(root, 'scripts', 'build.mjs')], { stdio: 'inherit' });
  const pack = ['pack', '--ignore-scripts', '--json', '--pack-destination', dir];
  const packed = execFileSync('npm', pack, { cwd: root, encoding: 'utf8' });
  const tarball = join(dir, JSON.parse(packed)[0].filename);
  const bin = (name) => join(root, 'node_modules', '.bin', name);
  run('publint', bin('publint'), ['--strict', tarball]);
  // node10 resolution knows no "exports", and so no subpaths.
  run('are-the-types-wrong', bin('attw'), [tarball, '--profile', 'node16', '--no-color']);
  const { size } = statSync(tarball);
  if (size > MOST_BYTES) failures.push(`size: ${size} bytes, more than ${MOST_BYTES}`);
  for (const failure of failures) console.error(`FAILED: ${failure}`);
  if (failures.length === 0)
    console.log(`publint and are-the-types-wrong have no complaint; ${size} bytes of ${MOST_BYTES}`);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
process.exitCode = failures.length > 0 ? 1 : 0;
