/**
 * Where imports may go: down only (`ARCHITECTURE.md`), without cycles, and to the NATS client from the store only. Imports of types
 * count as well.
 */

/** From the top to the bottom. What stands beside each other on one line does not import each other. */
const LAYERS = [
  ['cli'],
  ['sidecar'],
  ['testing'],
  ['api'],
  ['engine', 'latch'],
  ['release'],
  ['acquire'],
  ['state'],
  ['lease'],
  ['store'],
  ['protocol'],
  ['runtime'],
];

const upward = LAYERS.flatMap((layer, depth) =>
  layer.map((folder) => ({
    name: `${folder}-imports-down-only`,
    comment: `${folder}/ imports what is below it, never what is above or beside it`,
    severity: 'error',
    from: { path: `^src/${folder}/` },
    to: {
      path: LAYERS.slice(0, depth + 1)
        .flat()
        .filter((other) => other !== folder)
        .map((other) => `^src/${other}/`),
    },
  })),
).filter(({ to }) => to.path.length > 0);

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    ...upward,
    {
      name: 'nats-only-in-the-store',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/store/nats/', '^src/testing/'] },
      to: { path: 'node_modules/(@nats-io|nats)/' },
    },
    {
      name: 'product-without-tests',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|examples)/' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^src/sidecar/page/' },
  },
};
