// Builds the sidecar's live page into the folder given, by default the one from which it is served out of the sources:
// one script, one style sheet, nothing that is fetched from elsewhere at run time.
import { build } from 'esbuild';
import { copyFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const page = join(root, 'src', 'sidecar', 'page');

export async function buildPage(folder = join(page, 'dist')) {
  mkdirSync(folder, { recursive: true });
  await build({
    entryPoints: [join(page, 'page.tsx'), join(page, 'page.css')],
    entryNames: '[name]',
    outdir: folder,

    bundle: true,
    minify: true,
    format: 'esm',
    target: ['chrome123', 'firefox120', 'safari17.5'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'inline',
    banner: { js: '/* Includes preact and eventsource-parser, both under the MIT license. */' },
    tsconfigRaw: '{}',
    logLevel: 'warning',
  });
  for (const file of ['index.html', 'icon.svg']) copyFileSync(join(page, file), join(folder, file));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildPage(process.argv[2]);
