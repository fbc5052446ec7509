import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const natsOnlyInStore = {
  patterns: [{ regex: '^(@nats-io/|nats$)', message: 'The client is imported in src/store/nats only.' }],
};
const clockOnly = [
  'Date',
  'performance',
  'setTimeout',
  'setInterval',
  'clearTimeout',
  'clearInterval',
  'setImmediate',
].map((name) => ({ name, message: 'Time is read and waited for in src/runtime/clock.ts only.' }));

export default tseslint.config(
  { ignores: ['dist', '.cache', 'coverage', '**/*.js', '**/*.mjs', '**/*.cjs'] },
  js.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/explicit-function-return-type': ['error', { allowExpressions: true }],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      'preserve-caught-error': 'off',
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/store/nats/**', 'src/testing/**'],
    rules: { 'no-restricted-imports': ['error', natsOnlyInStore] },
  },
  {
    files: ['src/**/*.ts'],
    // The page runs in a browser, by the browser's clock.
    ignores: ['src/runtime/clock.ts', 'src/testing/**', 'src/sidecar/page/**'],
    rules: { 'no-restricted-globals': ['error', ...clockOnly] },
  },
  {
    // Types of methods are looked at there, and nothing is called.
    files: ['test/types/**/*.ts'],
    rules: { '@typescript-eslint/unbound-method': 'off' },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/explicit-function-return-type': 'off',
      '@typescript-eslint/require-await': 'off',
    },
  },
);
