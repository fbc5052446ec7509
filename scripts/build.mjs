// Builds dist/cjs with tsc and dist/esm as thin ES modules over it: a program that loads the package both ways
// gets one copy of the library and so one set of locks.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildPage } from './build-page.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);
const { bin, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

rmSync(join(root, 'dist'), { recursive: true, force: true });
const tsc = require.resolve('typescript/bin/tsc');
execFileSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit' });

await buildPage(join(root, 'dist/cjs/sidecar/page/dist'));

// Every entry of "exports" that has both forms: the ES module names what the CommonJS one exports.
for (const entry of Object.values(exports)) {
  if (entry.import === undefined || entry.require === undefined) continue;
  const source = relative(dirname(entry.import.default), entry.require.default);
  const names = Object.keys(require(join(root, entry.require.default))).sort();
  mkdirSync(join(root, dirname(entry.import.default)), { recursive: true });
  writeFileSync(join(root, entry.import.default), `export { ${names.join(', ')} } from '${source}';\n`);
  writeFileSync(join(root, entry.import.types), `export * from '${source}';\n`);
}

// The command line is run, not imported: nobody reads its types. Of the sidecar's, those that its entry names.
const READ = new Set(['index.d.ts', 'options.d.ts', 'sidecar.d.ts']);
for (const [folder, keep] of [
  ['dist/cjs/cli', new Set()],
  ['dist/cjs/sidecar', READ],
]) {
  for (const path of readdirSync(join(root, folder), { recursive: true })) {
    if (path.endsWith('.d.ts') && !keep.has(path)) rmSync(join(root, folder, path));
  }
}
// Called by path too, not only through the link that npm makes.
for (const file of Object.values(bin)) chmodSync(join(root, file), 0o755);
