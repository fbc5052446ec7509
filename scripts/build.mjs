// Builds dist/cjs with tsc and dist/esm as thin ES modules over it: a program that loads the package both ways
// gets one copy of the library and so one set of locks.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const root = new URL('..', import.meta.url).pathname;
const require = createRequire(import.meta.url);
rmSync(`${root}dist`, { recursive: true, force: true });
execFileSync(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', `${root}tsconfig.build.json`], { stdio: 'inherit' });
mkdirSync(`${root}dist/esm`, { recursive: true });
for (const [entry, source] of [['index', '../cjs/index.js'], ['testing', '../cjs/testing/index.js']]) {
  const names = Object.keys(require(`${root}dist/esm/${source}`)).sort();
  writeFileSync(`${root}dist/esm/${entry}.mjs`, `export { ${names.join(', ')} } from '${source}';\n`);
  writeFileSync(`${root}dist/esm/${entry}.d.mts`, `export * from '${source}';\n`);
}
